#include "index/tree/leaf_table.h"

#include <algorithm>
#include <utility>

namespace larder::index {

LeafTable::LeafTable(uint32_t dimension, std::vector<float> anchors)
    : n_(dimension), anchors_(std::move(anchors)), nearest_cell_(anchors_.data(), anchors_.size() / dimension, dimension),
      squared_(SelectKernels(DistanceForm::kSquaredL2)), minus_dot_(SelectKernels(DistanceForm::kMinusDot)) {
  begin_.assign(nearest_cell_.count() + 1, 0);
}

void LeafTable::Add(uint32_t cell, uint32_t node, absl::Span<const float> centroid) {
  centroids_.insert(centroids_.end(), centroid.begin(), centroid.end());
  nodes_.push_back(node);
  cells_of_.push_back(cell);
}

void LeafTable::Seal() {
  for (size_t cell = 0; cell < begin_.size(); ++cell) {
    begin_[cell] = std::lower_bound(cells_of_.begin(), cells_of_.end(), cell) - cells_of_.begin();
  }
}

uint32_t LeafTable::NearestCell(const float* row) const {
  float distance;
  return nearest_cell_.Find(row, &distance);
}

void LeafTable::Nearest(const float* row, size_t count, std::vector<Near>* out) const {
  out->clear();
  std::vector<float> distances(cells());
  nearest_cell_.Distances(row, distances.data());
  std::vector<Near> order(cells());
  for (uint32_t cell = 0; cell < cells(); ++cell) order[cell] = {cell, distances[cell]};
  const auto nearer = [](const Near& a, const Near& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.leaf < b.leaf;
  };
  std::make_heap(order.begin(), order.end(), [&](const Near& a, const Near& b) { return nearer(b, a); });
  std::vector<const float*> rows;
  while (!order.empty() && out->size() < kWide * count) {
    std::pop_heap(order.begin(), order.end(), [&](const Near& a, const Near& b) { return nearer(b, a); });
    const uint32_t cell = order.back().leaf;
    order.pop_back();
    for (size_t leaf = begin_[cell]; leaf < begin_[cell + 1]; ++leaf) {
      rows.push_back(centroid(leaf));
      out->push_back({static_cast<uint32_t>(leaf), 0});
    }
  }
  distances.resize(rows.size());
  squared_.batch(row, rows.data(), rows.size(), n_, distances.data());
  for (size_t i = 0; i < out->size(); ++i) (*out)[i].distance = distances[i];
  const size_t kept = std::min(count, out->size());
  std::partial_sort(out->begin(), out->begin() + kept, out->end(), nearer);
  out->resize(kept);
}

uint32_t LeafTable::SecondHome(const float* row, absl::Span<const Near> near) const {
  if (near.size() < 2) return near[0].leaf;
  std::vector<float> residual(n_), dots(near.size());
  std::vector<const float*> centroids;
  const float* home = centroid(near[0].leaf);
  double along = 0, squares = 0;  // <x, r>, |r|^2
  for (size_t i = 0; i < n_; ++i) {
    residual[i] = row[i] - home[i];
    along += double{row[i]} * residual[i];
    squares += double{residual[i]} * residual[i];
  }
  for (const Near& other : near) centroids.push_back(centroid(other.leaf));
  minus_dot_.batch(residual.data(), centroids.data(), near.size(), n_, dots.data());
  size_t best = 1;
  double least = 1e300;
  for (size_t i = 1; i < near.size(); ++i) {
    const double projection = along + dots[i];
    const double loss = near[i].distance + (squares > 1e-20 ? projection * projection / squares : 0);
    if (loss < least) least = loss, best = i;
  }
  return near[best].leaf;
}

}  // namespace larder::index
