// Watches real searches: a few are kept, answered again exactly in the background, and compared. What
// that learns is the recall users get, and by how much their queries are harder than the rows.
#ifndef LARDER_INDEX_RECALL_LIVE_CHECK_H_
#define LARDER_INDEX_RECALL_LIVE_CHECK_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/recall/exact_scan.h"
#include "index/recall/recall_table.h"
#include "index/vector_index.h"

namespace larder::index {

struct LiveCheckOptions {
  double share = 0.01;           // of the time that searches take may go into checks
  uint32_t sample_every = 16;    // searches; which one of them is drawn by the seed
  uint32_t queue = 32;           // samples kept, the newest
  uint32_t recent = 200;         // queries kept for a calibration with them
  double half_life = 500;        // checks after which an old one counts half
  uint32_t least_checks = 20;    // before an ef region corrects anything
  double max_correction = 8;
  int64_t burst_ns = 1'000'000'000;  // time saved up while nothing is checked, at most (or two checks)
  uint64_t seed = 42;
  NanoClock clock = &SteadyNanos;
};

// A search without a filter that was answered by the graph.
struct AnsweredSearch {
  absl::Span<const float> query;
  uint32_t k = 0, ef = 0;
  absl::Span<const Neighbor> answer;
  Vid end_vid = 0;        // rows from this vid on were not there yet
  int64_t search_ns = 0;  // what it took
};

struct LiveEstimate {
  double recall = 0, standard_error = 0;  // decayed, over all ef
  uint64_t checked = 0;                   // queries, ever
};

// Thread-safe. Offer never waits: a sample that meets a busy queue is dropped. The budget is a bucket
// that earns `share` of the search time and pays for each check what it took; a check begins only if
// the bucket holds what the last one cost, and is broken off if it takes more than twice that.
class LiveCheck {
 public:
  explicit LiveCheck(LiveCheckOptions options);

  void Offer(const AnsweredSearch& search);
  // Checks one sample if there is one and the budget allows; returns whether it did. `table` says what
  // was to be expected. Called by one thread at a time.
  bool CheckOne(const VectorIndex& index, const RecallTable& table, const std::function<bool()>& stop);
  // The cost to assume for the next check.
  void set_cost_ns(int64_t cost) { cost_ns_ = cost; }

  // The newest queries sampled; none until there are `recent` of them.
  std::vector<std::vector<float>> RecentQueries() const;
  bool has_recent_queries() const;

  LiveEstimate Estimate() const;
  // Of the ef around this one.
  LiveEstimate EstimateAround(uint32_t ef) const;
  // Users' queries find at ef what rows find at ef / correction(). 1 to max_correction.
  double correction() const { return correction_.load(std::memory_order_relaxed); }
  int64_t search_ns() const { return search_ns_.load(std::memory_order_relaxed); }
  int64_t spent_ns() const { return spent_ns_.load(std::memory_order_relaxed); }
  // Drops samples and what was learnt: the index is another one. Budget and recent queries stay.
  void Forget();

 private:
  struct Sample {
    std::vector<float> query;
    uint32_t k = 0, ef = 0;
    std::vector<Neighbor> answer;
    Vid end_vid = 0;
  };
  struct Sums {  // decayed
    double n = 0, observed = 0, squares = 0, expected = 0, log_k = 0;
    uint64_t checked = 0;
    void Add(double seen, double promised, uint32_t k, double decay);
    LiveEstimate Estimate() const;
  };
  static constexpr size_t kRegions = 15;  // by the power of two of ef
  static size_t RegionOf(uint32_t ef);

  bool Afford();
  bool Take(Sample* sample, uint64_t* generation);
  void Record(const Sample& sample, double observed, const RecallTable& table, uint64_t generation);
  double CorrectionOf(const Sums& sums, const RecallTable& table) const;

  const LiveCheckOptions options_;
  std::atomic<uint64_t> offered_{0};
  std::atomic<int64_t> search_ns_{0}, spent_ns_{0}, forfeited_ns_{0}, cost_ns_{0};
  std::atomic<double> correction_{1};
  mutable absl::Mutex mutex_;
  std::vector<Sample> samples_ ABSL_GUARDED_BY(mutex_);  // a ring once it is full
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::vector<float>> recent_ ABSL_GUARDED_BY(mutex_);  // likewise
  size_t next_recent_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Sums, kRegions> regions_ ABSL_GUARDED_BY(mutex_);
  Sums all_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_LIVE_CHECK_H_
