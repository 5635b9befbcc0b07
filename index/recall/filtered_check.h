// Watches searches under filters, as LiveCheck those without: a few are kept with the vids that matched, answered
// again exactly in the background, and compared. What a search under a filter finds depends on the share of the
// rows that match, so the figures are kept by that.
#ifndef LARDER_INDEX_RECALL_FILTERED_CHECK_H_
#define LARDER_INDEX_RECALL_FILTERED_CHECK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/recall/exact_scan.h"
#include "index/vector_index.h"
#include "index/vid_set.h"

namespace larder::index {

struct FilteredCheckOptions {
  double share = 0.01;         // of the time that searches take may go into checks
  uint32_t sample_every = 16;  // searches
  uint32_t queue = 8;          // samples kept, the newest; each holds a set of vids
  double half_life = 200;      // checks of a region after which an old one counts half
  uint32_t least_checks = 5;   // before a region says anything
  NanoClock clock = &SteadyNanos;
};

// A search under a filter that compared not all of the matches exactly.
struct FilteredSearch {
  absl::Span<const float> query;
  uint32_t k = 0;
  absl::Span<const Neighbor> answer;
  const VidSet* matches = nullptr;
  uint64_t rows = 0;      // of the index
  int64_t search_ns = 0;  // what it took
};

// Thread-safe. Offer never waits: a sample that meets a busy queue is dropped.
class FilteredCheck {
 public:
  explicit FilteredCheck(FilteredCheckOptions options = {}) : options_(options) {}

  void Offer(const FilteredSearch& search);
  // Checks one sample if there is one and the time is earned; returns whether it did. One thread at a time.
  bool CheckOne(const VectorIndex& index);
  // The recall to expect where `matches` of `rows` match; none before enough was checked.
  std::optional<double> Expect(uint64_t matches, uint64_t rows) const;
  // The index is another one.
  void Forget();

 private:
  static constexpr size_t kRegions = 16;  // by the power of two of the share
  struct Sample {
    std::vector<float> query;
    uint32_t k = 0;
    std::vector<Neighbor> answer;
    VidSet matches;
    size_t region = 0;
  };
  struct Sums {  // decayed
    double n = 0, observed = 0;
    uint64_t checked = 0;
  };
  static size_t RegionOf(uint64_t matches, uint64_t rows);

  const FilteredCheckOptions options_;
  mutable absl::Mutex mutex_;
  uint64_t offered_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t search_ns_ ABSL_GUARDED_BY(mutex_) = 0, spent_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Sample> samples_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Sums, kRegions> regions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_FILTERED_CHECK_H_
