#include "storage/write_batch.h"

#include <algorithm>
#include <cstring>

#include "storage/schema.h"
#include "storage/value_trailer.h"

namespace larder::storage {
namespace {

constexpr size_t kHeadBytes = 2 + 2 * sizeof(uint64_t);

void AppendHead(BatchOp op, Table table, uint64_t first, uint64_t second, std::string* out) {
  char head[kHeadBytes] = {static_cast<char>(op), static_cast<char>(table)};
  std::memcpy(head + 2, &first, sizeof(first));
  std::memcpy(head + 2 + sizeof(first), &second, sizeof(second));
  out->append(head, sizeof(head));
}

void AppendOperation(BatchOp op, Table table, absl::string_view first, absl::string_view second,
                     std::string* out) {
  AppendHead(op, table, first.size(), second.size(), out);
  out->append(first.data(), first.size());
  out->append(second.data(), second.size());
}

}  // namespace

absl::string_view TableName(Table table) {
  return table == Table::kMeta ? "meta" : kTables[static_cast<int>(table)].name;
}

WriteBatch::WriteBatch() : rep_(std::make_unique<Rep>()) {}
WriteBatch::~WriteBatch() = default;
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;

void WriteBatch::Put(Table table, absl::string_view key, absl::string_view value) {
  std::string& out = rep_->operations;
  AppendHead(BatchOp::kPut, table, key.size(), value.size() + kTrailerBytes, &out);
  out.append(key.data(), key.size());
  out.append(value.data(), value.size());
  AppendTrailer(table, key, value, &out);
}

void WriteBatch::Delete(Table table, absl::string_view key) {
  AppendOperation(BatchOp::kDelete, table, key, "", &rep_->operations);
}

void WriteBatch::DeleteRange(Table table, absl::string_view begin, absl::string_view end) {
  AppendOperation(BatchOp::kDeleteRange, table, begin, end, &rep_->operations);
}

void WriteBatch::Count(Counter counter, int64_t delta) { rep_->counters[static_cast<int>(counter)] += delta; }

void WriteBatch::Append(const WriteBatch& other) {
  rep_->operations += other.rep_->operations;
  for (int i = 0; i < kCounterCount; ++i) rep_->counters[i] += other.rep_->counters[i];
}

bool WriteBatch::empty() const {
  return rep_->operations.empty() &&
         std::all_of(std::begin(rep_->counters), std::end(rep_->counters), [](int64_t n) { return n == 0; });
}

size_t WriteBatch::bytes() const { return rep_->operations.size(); }

absl::string_view BatchReader::Take(size_t size) {
  const absl::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(taken.size());
  return taken;
}

bool BatchReader::Next() {
  if (rest_.empty()) return false;
  const absl::string_view head = Take(kHeadBytes);
  op_ = static_cast<BatchOp>(head[0]);
  table_ = static_cast<Table>(head[1]);
  uint64_t sizes[2];
  std::memcpy(sizes, head.data() + 2, sizeof(sizes));
  first_ = Take(sizes[0]);
  second_ = Take(sizes[1]);
  return true;
}

}  // namespace larder::storage
