#include "index/tree/kmeans.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace larder::index {
namespace {

class Lloyd {
 public:
  Lloyd(absl::Span<const float* const> rows, size_t n, size_t k, const KMeansOptions& options)
      : rows_(rows), n_(n), options_(options), random_(options.seed) {
    // Distinct rows in a random order are as good a start as any for many small clusters.
    std::vector<uint32_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    const size_t start = std::min(k, rows.size());
    for (size_t i = 0; i < start; ++i) Append(rows[order[i]]);
    clusters_.of.assign(rows.size(), 0);
  }

  Clusters Run() && {
    sizes_.assign(clusters_.count, 0);
    for (uint32_t i = 0; i < options_.iterations; ++i) {
      Assign(i == 0 ? 0 : options_.balance);
      Move();
    }
    Assign(0);
    Move();
    DropEmpty();
    return std::move(clusters_);
  }

 private:
  void Append(const float* row) {
    clusters_.centroids.insert(clusters_.centroids.end(), row, row + n_);
    ++clusters_.count;
  }

  void Assign(float balance) {
    const NearestCentroid nearest(clusters_.centroids.data(), clusters_.count, n_);
    const float mean_size = static_cast<float>(rows_.size()) / static_cast<float>(clusters_.count);
    std::vector<float> distances(clusters_.count), penalty(clusters_.count);
    for (size_t c = 0; c < clusters_.count; ++c) {
      penalty[c] = balance * mean_distance_ * static_cast<float>(sizes_[c]) / mean_size;
    }
    std::vector<uint32_t> sizes(clusters_.count, 0);
    double total = 0;
    for (size_t row = 0; row < rows_.size(); ++row) {
      nearest.Distances(rows_[row], distances.data());
      size_t best = 0;
      float least = distances[0] + penalty[0];
      for (size_t c = 1; c < clusters_.count; ++c) {
        const float cost = distances[c] + penalty[c];
        if (cost < least) least = cost, best = c;
      }
      clusters_.of[row] = static_cast<uint32_t>(best);
      total += distances[best];
      ++sizes[best];
    }
    sizes_ = std::move(sizes);
    mean_distance_ = static_cast<float>(total / static_cast<double>(rows_.size()));
  }

  // Centroids become means; an empty one takes a row of the largest.
  void Move() {
    std::vector<double> sums(clusters_.count * n_);
    for (size_t row = 0; row < rows_.size(); ++row) {
      double* sum = &sums[clusters_.of[row] * n_];
      for (size_t i = 0; i < n_; ++i) sum[i] += rows_[row][i];
    }
    const size_t largest = std::max_element(sizes_.begin(), sizes_.end()) - sizes_.begin();
    for (size_t c = 0; c < clusters_.count; ++c) {
      float* centroid = &clusters_.centroids[c * n_];
      if (sizes_[c] > 0) {
        for (size_t i = 0; i < n_; ++i) centroid[i] = static_cast<float>(sums[c * n_ + i] / sizes_[c]);
      } else {
        size_t row = random_() % rows_.size();
        while (clusters_.of[row] != largest) row = (row + 1) % rows_.size();
        std::copy_n(rows_[row], n_, centroid);
      }
    }
  }

  void DropEmpty() {
    std::vector<uint32_t> now(clusters_.count);
    size_t kept = 0;
    for (size_t c = 0; c < clusters_.count; ++c) {
      if (sizes_[c] == 0) continue;
      if (kept != c) std::copy_n(&clusters_.centroids[c * n_], n_, &clusters_.centroids[kept * n_]);
      now[c] = static_cast<uint32_t>(kept++);
    }
    for (uint32_t& of : clusters_.of) of = now[of];
    clusters_.count = kept;
    clusters_.centroids.resize(kept * n_);
  }

  const absl::Span<const float* const> rows_;
  const size_t n_;
  const KMeansOptions options_;
  std::mt19937_64 random_;
  Clusters clusters_;
  std::vector<uint32_t> sizes_;
  float mean_distance_ = 0;
};

}  // namespace

NearestCentroid::NearestCentroid(const float* centroids, size_t count, size_t n)
    : batch_(SelectKernels(DistanceForm::kSquaredL2).batch), n_(n) {
  for (size_t i = 0; i < count; ++i) rows_.push_back(centroids + i * n);
}

uint32_t NearestCentroid::Find(const float* row, float* distance) const {
  std::vector<float> distances(rows_.size());
  Distances(row, distances.data());
  const size_t best = std::min_element(distances.begin(), distances.end()) - distances.begin();
  *distance = distances[best];
  return static_cast<uint32_t>(best);
}

Clusters KMeans(absl::Span<const float* const> rows, size_t n, size_t k, const KMeansOptions& options) {
  return Lloyd(rows, n, std::max<size_t>(k, 1), options).Run();
}

Clusters Partition(absl::Span<const float* const> rows, size_t n, size_t aim, size_t fan, const KMeansOptions& options) {
  Clusters all;
  all.of.assign(rows.size(), 0);
  std::vector<std::vector<uint32_t>> open(1);
  open[0].resize(rows.size());
  std::iota(open[0].begin(), open[0].end(), 0);
  while (!open.empty()) {
    const std::vector<uint32_t> part = std::move(open.back());
    open.pop_back();
    std::vector<const float*> members;
    for (const uint32_t row : part) members.push_back(rows[row]);
    const size_t k = std::clamp<size_t>((part.size() + aim / 2) / aim, part.size() > 2 * aim ? 2 : 1, fan);
    Clusters split = KMeans(members, n, k, options);
    std::vector<std::vector<uint32_t>> parts(split.count);
    for (size_t i = 0; i < part.size(); ++i) parts[split.of[i]].push_back(part[i]);
    for (size_t c = 0; c < split.count; ++c) {
      if (parts[c].size() > 2 * aim && split.count > 1) {
        open.push_back(std::move(parts[c]));
        continue;
      }
      for (const uint32_t row : parts[c]) all.of[row] = static_cast<uint32_t>(all.count);
      all.centroids.insert(all.centroids.end(), &split.centroids[c * n], &split.centroids[(c + 1) * n]);
      ++all.count;
    }
  }
  return all;
}

}  // namespace larder::index
