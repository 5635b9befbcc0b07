// Scores gathered rows in batches and keeps the k nearest: the inner loop of every exact search.
#ifndef LARDER_INDEX_BATCH_SCORER_H_
#define LARDER_INDEX_BATCH_SCORER_H_

#include <cstddef>

#include "absl/types/span.h"
#include "index/kernels/distance.h"
#include "index/top_k.h"
#include "index/vector_index.h"

namespace larder::index {

// Thread-compatible. Borrows `query` and `top`; call Flush before reading `top`.
class BatchScorer {
 public:
  BatchScorer(DistanceKernels kernels, absl::Span<const float> query, TopK* top)
      : kernels_(kernels), query_(query), top_(top) {}

  // `row` must stay readable until the next Flush.
  void Add(Vid vid, const float* row) {
    vids_[count_] = vid;
    rows_[count_] = row;
    if (++count_ == kBatch) Flush();
  }
  // The same for a row that is likely not in the cache.
  void AddFar(Vid vid, const float* row) {
    PrefetchRow(row, query_.size());
    Add(vid, row);
  }
  void Flush() {
    kernels_.batch(query_.data(), rows_, count_, query_.size(), distances_);
    for (size_t i = 0; i < count_; ++i) {
      if (distances_[i] <= top_->worst()) top_->Push({vids_[i], distances_[i]});
    }
    count_ = 0;
  }

 private:
  static constexpr size_t kBatch = 32;
  DistanceKernels kernels_;
  absl::Span<const float> query_;
  TopK* top_;
  size_t count_ = 0;
  Vid vids_[kBatch];
  const float* rows_[kBatch];
  float distances_[kBatch];
};

}  // namespace larder::index

#endif  // LARDER_INDEX_BATCH_SCORER_H_
