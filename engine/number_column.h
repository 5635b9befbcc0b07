// The numbers of one metadata field in memory: rows in order of value, and bitmaps of all rows up to some
// places in that order. A window of any width is then the difference of two bitmaps and some single rows.
#ifndef LARDER_ENGINE_NUMBER_COLUMN_H_
#define LARDER_ENGINE_NUMBER_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/vid_set.h"

namespace larder {

// A number as its row's key holds it (metadata_index.cc), and the vid. Its order is that of the keys.
struct NumberRow {
  uint64_t value = 0;         // the first eight bytes of the number
  uint64_t rest_and_vid = 0;  // the last two, and the vid's lower 48 bits
  static constexpr uint64_t kVidMask = (uint64_t{1} << 48) - 1;

  uint64_t vid() const { return rest_and_vid & kVidMask; }
  friend auto operator<=>(const NumberRow&, const NumberRow&) = default;
};

// `number`: the ten bytes of a number, or of a bound (shorter ones sort before their continuations).
NumberRow MakeNumberRow(absl::string_view number, uint64_t vid);

// Immutable, hence thread-safe.
class NumberColumn {
 public:
  explicit NumberColumn(std::vector<NumberRow> rows);  // in order
  // The rows of `column` and some more, in any order.
  NumberColumn(const NumberColumn& column, absl::Span<const NumberRow> more);

  // The vids of rows in [begin, end).
  index::VidSet Window(const NumberRow& begin, const NumberRow& end) const;
  // Whether no vid has two numbers. Then several bounds on the field are one window.
  bool one_a_vid() const { return one_a_vid_; }
  size_t size() const { return rows_.size(); }
  uint64_t bytes() const;

 private:
  void BuildPrefixes();

  std::vector<NumberRow> rows_;
  std::vector<index::VidSet> prefixes_;  // [i]: of the first i * step_ rows
  size_t step_ = 1;
  bool one_a_vid_ = true;
};

}  // namespace larder

#endif  // LARDER_ENGINE_NUMBER_COLUMN_H_
