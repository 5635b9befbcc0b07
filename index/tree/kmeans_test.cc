#include "index/tree/kmeans.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "index/test_vectors.h"

namespace larder::index {
namespace {

std::vector<const float*> Pointers(const std::vector<float>& rows, size_t n) {
  std::vector<const float*> pointers;
  for (size_t i = 0; i < rows.size(); i += n) pointers.push_back(&rows[i]);
  return pointers;
}

std::vector<size_t> Sizes(const Clusters& clusters) {
  std::vector<size_t> sizes(clusters.count);
  for (const uint32_t of : clusters.of) ++sizes[of];
  return sizes;
}

TEST(KMeans, FindsTheClustersThatAreThere) {
  const std::vector<float> rows = ClusteredVectors(4000, 16, 1);
  const auto pointers = Pointers(rows, 16);
  const Clusters clusters = KMeans(pointers, 16, 80, {});
  double total = 0;
  const NearestCentroid nearest(clusters.centroids.data(), clusters.count, 16);
  for (size_t i = 0; i < pointers.size(); ++i) {
    float distance;
    nearest.Find(pointers[i], &distance);
    total += distance;
  }
  // Noise of 0.5 a dimension is 4 in all; centres lie some 32 apart.
  EXPECT_LT(total / 4000, 4.0);
  EXPECT_GT(clusters.count, 60u);
}

TEST(KMeans, BalanceMakesSizesAlike) {
  const std::vector<float> rows = ClusteredVectors(4000, 16, 1);
  const auto largest = [&](float balance) {
    const auto sizes = Sizes(KMeans(Pointers(rows, 16), 16, 40, {.balance = balance}));
    return *std::max_element(sizes.begin(), sizes.end());
  };
  EXPECT_LT(largest(1), largest(0));
}

TEST(KMeans, IdenticalRowsAreOneCluster) {
  const std::vector<float> rows(1000 * 8, 0.25f);
  const Clusters clusters = KMeans(Pointers(rows, 8), 8, 10, {});
  EXPECT_EQ(clusters.count, 1u);
  EXPECT_EQ(clusters.of, std::vector<uint32_t>(1000, 0));
}

TEST(Partition, KeepsCellsBelowTwiceTheAim) {
  const std::vector<float> rows = ClusteredVectors(5000, 16, 1);
  const Clusters cells = Partition(Pointers(rows, 16), 16, 60, 32, {});
  const auto sizes = Sizes(cells);
  EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()), 120u);
  EXPECT_GT(*std::min_element(sizes.begin(), sizes.end()), 0u);
  EXPECT_GT(cells.count, 50u);
  EXPECT_LT(cells.count, 170u);
  EXPECT_EQ(cells.centroids.size(), cells.count * 16);
}

TEST(Partition, ManyIdenticalRowsStayTogether) {
  std::vector<float> rows = ClusteredVectors(300, 8, 1);
  rows.resize(5300 * 8, 0.25f);
  const Clusters cells = Partition(Pointers(rows, 8), 8, 50, 16, {});
  const auto sizes = Sizes(cells);
  EXPECT_GE(*std::max_element(sizes.begin(), sizes.end()), 5000u);
  size_t total = 0;
  for (const size_t size : sizes) total += size;
  EXPECT_EQ(total, 5300u);
}

}  // namespace
}  // namespace larder::index
