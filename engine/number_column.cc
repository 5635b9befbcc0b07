#include "engine/number_column.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "storage/coding.h"

namespace larder {

using index::VidSet;

namespace {

// Bitmaps a column: more make a window's single rows fewer, at a bit for each row and bitmap.
constexpr size_t kPrefixes = 128;
// Of fewer rows than this, single rows cost less than the difference of two bitmaps.
constexpr size_t kLeastStep = 1024;

// By a set of their own: single vids that go between others of an array would each move what follows.
void AddRows(const std::vector<NumberRow>& rows, size_t first, size_t last, VidSet* out) {
  VidSet some;
  std::vector<uint64_t> vids;
  vids.reserve(last - first);
  for (size_t i = first; i < last; ++i) vids.push_back(rows[i].vid());
  some.AddMany(vids);
  *out |= some;
}

}  // namespace

NumberRow MakeNumberRow(absl::string_view number, uint64_t vid) {
  std::string bytes(number.substr(0, 10));
  bytes.resize(10, '\0');
  return {storage::ReadKey64(bytes.data()),
          uint64_t{storage::ReadKey16(bytes.data() + 8)} << 48 | (vid & NumberRow::kVidMask)};
}

NumberColumn::NumberColumn(std::vector<NumberRow> rows) : rows_(std::move(rows)) { BuildPrefixes(); }

NumberColumn::NumberColumn(const NumberColumn& column, absl::Span<const NumberRow> more) {
  std::vector<NumberRow> sorted(more.begin(), more.end());
  std::sort(sorted.begin(), sorted.end());
  rows_.reserve(column.rows_.size() + sorted.size());
  std::set_union(column.rows_.begin(), column.rows_.end(), sorted.begin(), sorted.end(), std::back_inserter(rows_));
  BuildPrefixes();
}

void NumberColumn::BuildPrefixes() {
  step_ = std::max(kLeastStep, (rows_.size() + kPrefixes - 1) / kPrefixes);
  VidSet all;
  prefixes_.push_back(all);
  size_t first = 0;
  for (; first + step_ <= rows_.size(); first += step_) {
    AddRows(rows_, first, first + step_, &all);
    prefixes_.push_back(all);
  }
  AddRows(rows_, first, rows_.size(), &all);
  one_a_vid_ = all.size() == rows_.size();
}

// The difference of two bitmaps says what has a row between them only where no vid has another row before.
VidSet NumberColumn::Window(const NumberRow& begin, const NumberRow& end) const {
  const auto at = [&](const NumberRow& bound) {
    return static_cast<size_t>(std::lower_bound(rows_.begin(), rows_.end(), bound) - rows_.begin());
  };
  const size_t first = at(begin), last = std::max(first, at(end));
  const size_t low = (first + step_ - 1) / step_, high = last / step_;
  VidSet out;
  if (low >= high || (low > 0 && !one_a_vid_)) {
    AddRows(rows_, first, last, &out);
    return out;
  }
  out = prefixes_[high];
  out -= prefixes_[low];
  AddRows(rows_, first, low * step_, &out);
  AddRows(rows_, high * step_, last, &out);
  return out;
}

uint64_t NumberColumn::bytes() const {
  uint64_t bytes = sizeof(*this) + rows_.capacity() * sizeof(NumberRow);
  for (const VidSet& prefix : prefixes_) bytes += prefix.bytes();
  return bytes;
}

}  // namespace larder
