// k-means with clusters of like size, and a partition by it into cells of a given size.
//
// Lloyd's iterations in which a full cluster is made to look farther away (after SPTAG's balanced k-means tree):
// a row goes to the least |x - c|^2 + balance * mean |x - c|^2 * size(c) / mean size, sizes of the iteration before.
#ifndef LARDER_INDEX_TREE_KMEANS_H_
#define LARDER_INDEX_TREE_KMEANS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/kernels/distance.h"

namespace larder::index {

struct Clusters {
  std::vector<float> centroids;  // row-major; none is empty
  std::vector<uint32_t> of;      // by row; the nearest centroid
  size_t count = 0;
};

struct KMeansOptions {
  uint32_t iterations = 8;
  float balance = 0.1f;
  uint64_t seed = 42;
};

// `rows`: pointers to `n` floats each, at least one. May return fewer than k clusters: identical rows fall in one.
Clusters KMeans(absl::Span<const float* const> rows, size_t n, size_t k, const KMeansOptions& options);

// Cells of about `aim` rows and at most twice that, by KMeans in at most `fan` parts at a time. Only rows that
// cannot be told apart make a larger cell.
Clusters Partition(absl::Span<const float* const> rows, size_t n, size_t aim, size_t fan, const KMeansOptions& options);

// The nearest of many centroids by squared distance.
class NearestCentroid {
 public:
  NearestCentroid(const float* centroids, size_t count, size_t n);
  uint32_t Find(const float* row, float* distance) const;
  // Squared distances of all.
  void Distances(const float* row, float* out) const { batch_(row, rows_.data(), rows_.size(), n_, out); }
  size_t count() const { return rows_.size(); }

 private:
  const DistanceKernels::Batch batch_;
  const size_t n_;
  std::vector<const float*> rows_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_KMEANS_H_
