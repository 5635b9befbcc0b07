#include "storage/memory_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "storage/value_trailer.h"
#include "storage/write_batch.h"

namespace larder::storage {

class MemoryStore::MemorySnapshot final : public Snapshot {
 public:
  explicit MemorySnapshot(Contents contents) : contents(std::move(contents)) {}
  const Contents contents;
};

class MemoryStore::MemoryIterator final : public Iterator {
 public:
  MemoryIterator(Table table, std::map<std::string, std::string> rows, absl::Status status)
      : table_(table), rows_(std::move(rows)), status_(std::move(status)), it_(rows_.begin()) {}
  bool Valid() const override { return status_.ok() && it_ != rows_.end(); }
  void Seek(absl::string_view key) override { it_ = rows_.lower_bound(std::string(key)); }
  void Next() override { ++it_; }
  absl::string_view key() const override { return it_->first; }
  absl::StatusOr<absl::string_view> value() const override {
    return CheckTrailer(table_, it_->first, it_->second);
  }
  absl::Status status() const override { return status_; }

 private:
  const Table table_;
  const std::map<std::string, std::string> rows_;
  const absl::Status status_;
  std::map<std::string, std::string>::const_iterator it_;
};

void MemoryStore::Contents::Apply(const WriteBatch& batch) {
  BatchReader reader(batch.rep());
  while (reader.Next()) {
    auto& rows = tables[static_cast<int>(reader.table())];
    const std::string first(reader.first()), second(reader.second());
    if (reader.op() == BatchOp::kPut) rows[first] = second;
    if (reader.op() == BatchOp::kDelete) rows.erase(first);
    if (reader.op() == BatchOp::kDeleteRange && first < second) {
      rows.erase(rows.lower_bound(first), rows.lower_bound(second));
    }
  }
  ++state.commit;
  for (int i = 0; i < kCounterCount; ++i) state.counters[i] += batch.rep().counters[i];
}

absl::StatusOr<uint64_t> MemoryStore::Write(WriteBatch batch, bool sync) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(std::exchange(next_write_, absl::OkStatus()));
  now_.Apply(batch);
  unsynced_.push_back(std::move(batch));
  if (sync) {
    durable_ = now_;
    unsynced_.clear();
  }
  return now_.state.commit;
}

MemoryStore::Contents MemoryStore::ContentsAt(const Snapshot* snapshot) const {
  if (snapshot != nullptr) return static_cast<const MemorySnapshot*>(snapshot)->contents;
  absl::MutexLock lock(&mutex_);
  return now_;
}

absl::StatusOr<std::string> MemoryStore::Get(Table table, absl::string_view key,
                                             const Snapshot* snapshot) const {
  absl::MutexLock lock(&mutex_);
  const Contents& contents =
      snapshot == nullptr ? now_ : static_cast<const MemorySnapshot*>(snapshot)->contents;
  const auto& rows = contents.tables[static_cast<int>(table)];
  const auto found = rows.find(std::string(key));
  if (found == rows.end())
    return absl::NotFoundError(absl::StrCat("table ", TableName(table), ": no such key"));
  ASSIGN_OR_RETURN(const absl::string_view value, CheckTrailer(table, key, found->second));
  return std::string(value);
}

std::vector<absl::StatusOr<std::string>> MemoryStore::MultiGet(Table table,
                                                               absl::Span<const std::string> keys,
                                                               const Snapshot* snapshot) const {
  std::vector<absl::StatusOr<std::string>> results;
  for (const std::string& key : keys) results.push_back(Get(table, key, snapshot));
  return results;
}

std::unique_ptr<Iterator> MemoryStore::NewIterator(Table table, absl::string_view prefix,
                                                   const Snapshot* snapshot) const {
  absl::MutexLock lock(&mutex_);
  const Contents& contents =
      snapshot == nullptr ? now_ : static_cast<const MemorySnapshot*>(snapshot)->contents;
  const auto& rows = contents.tables[static_cast<int>(table)];
  std::map<std::string, std::string> chosen;
  for (auto it = rows.lower_bound(std::string(prefix));
       it != rows.end() && absl::StartsWith(it->first, prefix); ++it) {
    chosen.insert(*it);
  }
  return std::make_unique<MemoryIterator>(table, std::move(chosen), iteration_[static_cast<int>(table)]);
}

std::unique_ptr<Snapshot> MemoryStore::GetSnapshot() const {
  return std::make_unique<MemorySnapshot>(ContentsAt(nullptr));
}

CommitState MemoryStore::state() const {
  absl::MutexLock lock(&mutex_);
  return now_.state;
}

absl::StatusOr<CommitState> MemoryStore::StateAt(const Snapshot& snapshot) const {
  return static_cast<const MemorySnapshot&>(snapshot).contents.state;
}

absl::StatusOr<uint64_t> MemoryStore::Verify(const RecordVisitor& record,
                                             std::vector<std::string>* problems) const {
  const Contents contents = ContentsAt(nullptr);
  uint64_t records = 0;
  for (int table = 0; table < kTableCount; ++table) {
    for (const auto& [key, stored] : contents.tables[table]) {
      const auto value = CheckTrailer(static_cast<Table>(table), key, stored);
      if (!value.ok()) problems->push_back(std::string(value.status().message()));
      if (value.ok() && record != nullptr) record(static_cast<Table>(table), key, *value);
      ++records;
    }
  }
  const std::pair<Counter, Table> counted[] = {{Counter::kKvEntries, Table::kKvEntries},
                                               {Counter::kExtents, Table::kExtents}};
  for (const auto& [counter, table] : counted) {
    const auto rows = static_cast<int64_t>(contents.tables[static_cast<int>(table)].size());
    const int64_t count = contents.state.counters[static_cast<int>(counter)];
    if (rows != count)
      problems->push_back(absl::StrCat(TableName(table), ": ", rows, " rows, counter ", count));
  }
  return records;
}

absl::Status MemoryStore::Checkpoint(absl::string_view, const std::function<absl::Status()>&) {
  return absl::UnimplementedError("a store in memory has no files to copy");
}

void MemoryStore::LosePower(size_t kept) {
  absl::MutexLock lock(&mutex_);
  now_ = durable_;
  for (size_t i = 0; i < std::min(kept, unsynced_.size()); ++i) now_.Apply(unsynced_[i]);
  durable_ = now_;  // recovery makes durable what it found
  unsynced_.clear();
}

size_t MemoryStore::UnsyncedCommits() const {
  absl::MutexLock lock(&mutex_);
  return unsynced_.size();
}

void MemoryStore::FailNextWrite(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  next_write_ = std::move(status);
}

void MemoryStore::Damage(Table table, const std::string& key) {
  absl::MutexLock lock(&mutex_);
  for (Contents* contents : {&now_, &durable_}) {
    auto& rows = contents->tables[static_cast<int>(table)];
    if (const auto found = rows.find(key); found != rows.end()) found->second[0] ^= 1;
  }
}

void MemoryStore::BreakIteration(Table table, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  iteration_[static_cast<int>(table)] = std::move(status);
}

}  // namespace larder::storage
