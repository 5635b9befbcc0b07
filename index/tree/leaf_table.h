// The leaves' centroids in full, by cell, for assigning rows during a build.
#ifndef LARDER_INDEX_TREE_LEAF_TABLE_H_
#define LARDER_INDEX_TREE_LEAF_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/kernels/distance.h"
#include "index/tree/kmeans.h"

namespace larder::index {

// Immutable after Seal: thread-safe then.
class LeafTable {
 public:
  LeafTable(uint32_t dimension, std::vector<float> anchors);
  // Leaves of cells in ascending order.
  void Add(uint32_t cell, uint32_t node, absl::Span<const float> centroid);
  void Seal();

  size_t size() const { return nodes_.size(); }
  uint32_t cells() const { return static_cast<uint32_t>(begin_.size() - 1); }
  uint32_t node(size_t leaf) const { return nodes_[leaf]; }
  uint32_t cell(size_t leaf) const { return cells_of_[leaf]; }
  float* centroid(size_t leaf) { return &centroids_[leaf * n_]; }
  const float* centroid(size_t leaf) const { return &centroids_[leaf * n_]; }
  const float* anchor(uint32_t cell) const { return &anchors_[cell * n_]; }
  uint32_t NearestCell(const float* row) const;

  struct Near {
    uint32_t leaf = 0;
    float distance = 0;  // squared
  };
  // About the nearest `count` leaves, ascending: those of the nearest cells that together have kWide times as many.
  void Nearest(const float* row, size_t count, std::vector<Near>* out) const;
  // Of `near` (the first is the home), the leaf for a second copy by SOAR's loss (Sun et al., arXiv:2404.00774):
  // |x - c|^2 + <x - c, r>^2 / |r|^2, r the residual at home. The home itself if there is no other.
  uint32_t SecondHome(const float* row, absl::Span<const Near> near) const;

 private:
  static constexpr size_t kWide = 6;
  const size_t n_;
  const std::vector<float> anchors_;
  const NearestCentroid nearest_cell_;
  const DistanceKernels squared_, minus_dot_;
  std::vector<float> centroids_;
  std::vector<uint32_t> nodes_, cells_of_;
  std::vector<size_t> begin_;  // by cell, and the end
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_LEAF_TABLE_H_
