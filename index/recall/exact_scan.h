// Exact answers to hold others against, in pieces, so that a scan of many rows can be broken off.
#ifndef LARDER_INDEX_RECALL_EXACT_SCAN_H_
#define LARDER_INDEX_RECALL_EXACT_SCAN_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/vector_index.h"

namespace larder::index {

// Nanoseconds of a steady clock.
using NanoClock = std::function<int64_t()>;
int64_t SteadyNanos();

// Single-threaded; borrows the index, which may change meanwhile: the rows are those that were live
// at construction.
class ExactScan {
 public:
  // Rows of vids below `end_vid`.
  explicit ExactScan(const VectorIndex& index, Vid end_vid = std::numeric_limits<Vid>::max());

  uint64_t rows() const { return rows_; }
  // The k nearest rows. Cancelled as soon as `stop`, asked between pieces of a million rows, says so.
  absl::StatusOr<std::vector<Neighbor>> Nearest(absl::Span<const float> query, uint32_t k,
                                                const std::function<bool()>& stop) const;

 private:
  const VectorIndex& index_;
  std::vector<VidSet> pieces_;
  uint64_t rows_ = 0;
};

// The share of `exact` that `answer` found, both best first: found is what is among the exact vids or
// as near as the last of them (ties are as good). 1 if `exact` is empty.
double RecallOf(absl::Span<const Neighbor> answer, absl::Span<const Neighbor> exact);

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_EXACT_SCAN_H_
