// The exact index: every row is scored. Also the oracle of the other indexes' tests. With a prefix, every row
// is scored by it, and some by whole vectors.
#ifndef LARDER_INDEX_FLAT_INDEX_H_
#define LARDER_INDEX_FLAT_INDEX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "index/kernels/distance.h"
#include "index/row_blocks.h"
#include "index/snapshot.h"
#include "index/top_k.h"
#include "index/vector_index.h"

namespace larder::index {

// Rows are appended to blocks that never move; removal marks them. Thread-safe: readers share a
// lock, a writer holds it while it copies rows.
class FlatIndex : public VectorIndex {
 public:
  explicit FlatIndex(const IndexOptions& options);  // validated
  static absl::StatusOr<std::unique_ptr<VectorIndex>> Load(SnapshotReader* reader);

  const IndexOptions& options() const override { return options_; }
  absl::Status Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) override;
  void Remove(absl::Span<const Vid> vids) override;
  absl::StatusOr<std::vector<Neighbor>> Search(absl::Span<const float> query,
                                               const SearchParams& params) const override;
  absl::StatusOr<std::vector<Neighbor>> Score(absl::Span<const float> query, const VidSet& candidates,
                                              uint32_t k) const override;
  absl::StatusOr<std::vector<float>> Vector(Vid vid) const override;
  bool Contains(Vid vid) const override;
  VidSet LiveVids() const override;
  absl::Status Save(const std::string& path, absl::string_view tag) const override;
  IndexStats Stats() const override;

 private:
  // Room for `more` rows: afterwards adding so many cannot fail.
  absl::Status Reserve(size_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The row of a live vid, or null.
  const float* Find(Vid vid) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Scan(const std::vector<float>& query, const VidSet* filter, TopK* top) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // The `ef` nearest by the prefix are scored.
  void ScanPrefixes(const std::vector<float>& query, const VidSet* filter, uint32_t ef, TopK* top) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void ScoreSet(const std::vector<float>& query, const VidSet& candidates, TopK* top) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  float PrefixScale(const float* row) const;
  absl::Status ReadRows(SnapshotReader* reader) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const IndexOptions options_;
  const DistanceKernels kernels_;
  // Writers and Save exclude each other here first, so that a writer never waits on mutex_ behind a
  // Save (a waiting writer would hold up the searches).
  mutable absl::Mutex writer_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  RowBlocks rows_ ABSL_GUARDED_BY(mutex_);
  std::vector<Vid> vids_ ABSL_GUARDED_BY(mutex_);         // by row
  std::vector<uint8_t> removed_ ABSL_GUARDED_BY(mutex_);  // by row
  std::vector<float> prefix_scales_ ABSL_GUARDED_BY(mutex_);  // by row; makes its prefix of length one under cosine
  absl::flat_hash_map<Vid, uint32_t> row_of_ ABSL_GUARDED_BY(mutex_);
  uint64_t tombstones_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_FLAT_INDEX_H_
