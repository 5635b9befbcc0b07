#include "index/flat_index.h"

#include <faiss/IndexFlat.h>

#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/test_vectors.h"

namespace larder::index {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::unique_ptr<VectorIndex> Flat(uint32_t dimension, Metric metric) {
  auto index = CreateIndex({.kind = Kind::kFlat, .dimension = dimension, .metric = metric});
  EXPECT_TRUE(index.ok()) << index.status();
  return *std::move(index);
}

std::vector<Vid> Vids(const std::vector<Neighbor>& neighbors) {
  std::vector<Vid> vids;
  for (const Neighbor& neighbor : neighbors) vids.push_back(neighbor.vid);
  return vids;
}

TEST(FlatIndex, DistancesOfEachMetric) {
  const std::vector<float> rows = {3, 4, 1, 0, -2, 0};
  const std::vector<float> query = {2, 0};
  const float expected[3][3] = {{0.4f, 0, 2}, {-6, -2, 4}, {17, 1, 16}};
  for (Metric metric : {Metric::kCosine, Metric::kDot, Metric::kL2}) {
    auto index = Flat(2, metric);
    ASSERT_TRUE(index->Add({10, 20, 30}, rows).ok());
    const auto found = index->Search(query, {.k = 5});
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), 3u);
    EXPECT_TRUE(std::is_sorted(found->begin(), found->end()));
    for (const Neighbor& neighbor : *found) {
      EXPECT_NEAR(neighbor.distance, expected[static_cast<int>(metric)][neighbor.vid / 10 - 1], 1e-6);
    }
  }
}

TEST(FlatIndex, CosineHoldsNormalisedVectors) {
  auto index = Flat(2, Metric::kCosine);
  ASSERT_TRUE(index->Add({1}, {30, 40}).ok());
  EXPECT_THAT(*index->Vector(1), ElementsAre(0.6f, 0.8f));
}

// FAISS shares no code with us.
TEST(FlatIndex, AgreesWithFaiss) {
  constexpr size_t kRows = 3000, kQueries = 20, kK = 25;
  for (uint32_t dimension : {1u, 7u, 16u, 100u, 384u}) {
    const std::vector<float> rows = ClusteredVectors(kRows, dimension, 1);
    const std::vector<float> queries = ClusteredVectors(kQueries, dimension, 2);
    std::vector<Vid> vids(kRows);
    for (size_t i = 0; i < kRows; ++i) vids[i] = 1000 + 7 * i;
    for (Metric metric : {Metric::kDot, Metric::kL2}) {
      auto ours = Flat(dimension, metric);
      ASSERT_TRUE(ours->Add(vids, rows).ok());
      faiss::IndexFlat theirs(dimension,
                              metric == Metric::kL2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT);
      theirs.add(kRows, rows.data());
      std::vector<float> distances(kQueries * kK);
      std::vector<faiss::Index::idx_t> labels(kQueries * kK);
      theirs.search(kQueries, queries.data(), kK, distances.data(), labels.data());
      for (size_t q = 0; q < kQueries; ++q) {
        const auto found = ours->Search({queries.data() + q * dimension, dimension}, {.k = kK});
        ASSERT_TRUE(found.ok()) << found.status();
        ASSERT_EQ(found->size(), kK);
        for (size_t i = 0; i < kK; ++i) {
          const float distance = distances[q * kK + i] * (metric == Metric::kL2 ? 1 : -1);
          const float tolerance = 1e-4f * (1 + std::abs(distance));
          EXPECT_NEAR((*found)[i].distance, distance, tolerance)
              << dimension << " query " << q << " rank " << i;
          if (i > 0 && i + 1 < kK && std::abs((*found)[i].distance - (*found)[i - 1].distance) > tolerance &&
              std::abs((*found)[i].distance - (*found)[i + 1].distance) > tolerance) {
            EXPECT_EQ((*found)[i].vid, 1000 + 7 * labels[q * kK + i]) << dimension << " rank " << i;
          }
        }
      }
    }
  }
}

TEST(FlatIndex, TiesGoToTheSmallerVid) {
  auto index = Flat(1, Metric::kL2);
  std::vector<Vid> vids;
  for (Vid vid = 100; vid > 0; --vid) vids.push_back(vid);
  ASSERT_TRUE(index->Add(vids, std::vector<float>(100, 2.0f)).ok());
  EXPECT_THAT(Vids(*index->Search({2.0f}, {.k = 4})), ElementsAre(1, 2, 3, 4));
}

TEST(FlatIndex, RemovedNeverAppear) {
  auto index = Flat(1, Metric::kL2);
  ASSERT_TRUE(index->Add({1, 2, 3}, {1, 2, 3}).ok());
  index->Remove({2, 2, 99});
  EXPECT_THAT(Vids(*index->Search({2.1f}, {.k = 3})), ElementsAre(3, 1));
  EXPECT_FALSE(index->Contains(2));
  EXPECT_EQ(index->Vector(2).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(index->Stats().live, 2u);
  EXPECT_EQ(index->Stats().tombstones, 1u);
  VidSet live;
  live.Add(1), live.Add(3);
  EXPECT_EQ(index->LiveVids(), live);
  EXPECT_EQ(index->Add({2}, {2}).code(), absl::StatusCode::kAlreadyExists);  // vids are immutable
}

TEST(FlatIndex, AddIsAllOrNothing) {
  auto index = Flat(1, Metric::kL2);
  ASSERT_TRUE(index->Add({5}, {5}).ok());
  EXPECT_EQ(index->Add({1, 2, 5}, {1, 2, 5}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(index->Add({1, 1}, {1, 2}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(index->Add({1}, {1, 2}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Stats().live, 1u);
  EXPECT_TRUE(index->Add({1, 2}, {1, 2}).ok());
  EXPECT_TRUE(index->Add({}, {}).ok());
  EXPECT_EQ(index->Stats().live, 3u);
}

TEST(FlatIndex, FiltersSparseAndDense) {
  auto index = Flat(1, Metric::kL2);
  std::vector<Vid> vids(1000);
  std::vector<float> rows(1000);
  for (size_t i = 0; i < 1000; ++i) vids[i] = i, rows[i] = i;
  ASSERT_TRUE(index->Add(vids, rows).ok());
  index->Remove({500});
  VidSet sparse, dense;
  for (Vid vid : {7, 500, 503, 999, 123456}) sparse.Add(vid);
  dense.AddRange(400, 900);
  dense.Remove(501);
  EXPECT_THAT(Vids(*index->Search({501.f}, {.k = 3, .filter = &sparse})), ElementsAre(503, 7, 999));
  EXPECT_THAT(Vids(*index->Search({501.f}, {.k = 3, .filter = &dense})), ElementsAre(502, 499, 503));
  EXPECT_THAT(Vids(*index->Score({501.f}, sparse, 10)), ElementsAre(503, 7, 999));
  const VidSet none;
  EXPECT_THAT(*index->Search({501.f}, {.k = 3, .filter = &none}), IsEmpty());
}

TEST(FlatIndex, RefusesBadQueries) {
  auto index = Flat(2, Metric::kCosine);
  EXPECT_THAT(*index->Search({1, 2}, {}), IsEmpty());
  EXPECT_EQ(index->Search({1, 2, 3}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Search({0, 0}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Search({NAN, 0}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Search({1, 2}, {.k = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FlatIndex, RowsSpanManyBlocks) {
  constexpr uint32_t kDimension = 4096;  // 64 rows a block
  auto index = Flat(kDimension, Metric::kL2);
  for (Vid vid = 0; vid < 200; ++vid) {
    ASSERT_TRUE(index->Add({vid}, std::vector<float>(kDimension, static_cast<float>(vid))).ok());
  }
  for (Vid vid : {0, 63, 64, 127, 128, 199}) {
    const std::vector<float> row(kDimension, static_cast<float>(vid));
    EXPECT_EQ(*index->Vector(vid), row);
    EXPECT_EQ(index->Search(row, {.k = 1})->at(0), (Neighbor{vid, 0}));
  }
  EXPECT_GT(index->Stats().resident_bytes, 200u * kDimension * sizeof(float));
}

TEST(FlatIndex, ReadersAndWritersTogether) {
  constexpr uint32_t kDimension = 16;
  constexpr Vid kRows = 2000;
  auto index = Flat(kDimension, Metric::kCosine);
  const std::vector<float> rows = ClusteredVectors(kRows, kDimension, 3);
  ASSERT_TRUE(index->Add({kRows}, {rows.data(), kDimension}).ok());
  std::thread writer([&] {
    for (Vid vid = 0; vid < kRows; ++vid) {
      ASSERT_TRUE(index->Add({vid}, {rows.data() + vid * kDimension, kDimension}).ok());
      if (vid % 3 == 0) index->Remove({vid});
    }
  });
  for (int i = 0; i < 200; ++i) {
    const auto found = index->Search({rows.data(), kDimension}, {.k = 5});
    ASSERT_TRUE(found.ok());
    EXPECT_GE(found->size(), 1u);
  }
  writer.join();
  EXPECT_EQ(index->Stats().live, kRows + 1 - (kRows + 2) / 3);
}

}  // namespace
}  // namespace larder::index
