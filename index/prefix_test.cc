// Indexes whose searches look at the first dimensions first (IndexOptions::prefix).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "index/hnsw/vector_rows.h"
#include "index/recall/recall_tuner.h"
#include "index/test_vectors.h"
#include "index/vector_index.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 256, kPrefix = 64;
constexpr size_t kRows = 8000, kQueries = 200;

// As a Matryoshka model's: a dimension's deviation falls to 1 / e every `scale` dimensions.
std::vector<float> DecayingVectors(size_t count, double scale, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(count * kDimension);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = normal(random) * static_cast<float>(std::exp(-static_cast<double>(i % kDimension) / scale));
  }
  return rows;
}

absl::Span<const float> Row(const std::vector<float>& rows, size_t i) {
  return {rows.data() + i * kDimension, kDimension};
}

std::unique_ptr<VectorIndex> Filled(const IndexOptions& options, const std::vector<float>& rows) {
  auto index = *CreateIndex(options);
  std::vector<Vid> vids(rows.size() / kDimension);
  std::iota(vids.begin(), vids.end(), 0);
  EXPECT_TRUE(index->Add(vids, rows).ok());
  return index;
}

double Recall(const VectorIndex& index, const VectorIndex& exact, const std::vector<float>& queries, uint32_t ef) {
  size_t hits = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::set<Vid> truth;
    const std::vector<Neighbor> nearest = *exact.Search(Row(queries, q), {});
    const std::vector<Neighbor> found = *index.Search(Row(queries, q), {.ef = ef});
    for (const Neighbor& neighbor : nearest) truth.insert(neighbor.vid);
    for (const Neighbor& neighbor : found) hits += truth.count(neighbor.vid);
  }
  return static_cast<double>(hits) / (10.0 * kQueries);
}

struct Variant {
  Metric metric;
  RowCode code;
};

class Prefix : public testing::TestWithParam<Variant> {
 protected:
  IndexOptions Options(Kind kind = Kind::kHnsw) const {
    return {.kind = kind, .dimension = kDimension, .metric = GetParam().metric, .code = GetParam().code,
            .prefix = kind == Kind::kHnsw ? kPrefix : 0};
  }
};
INSTANTIATE_TEST_SUITE_P(Variants, Prefix,
                         testing::Values(Variant{Metric::kCosine, RowCode::kSq4x8}, Variant{Metric::kDot, RowCode::kSq4x8},
                                         Variant{Metric::kL2, RowCode::kSq4x8}, Variant{Metric::kCosine, RowCode::kF32},
                                         Variant{Metric::kDot, RowCode::kF32}, Variant{Metric::kL2, RowCode::kF32}));

TEST_P(Prefix, FindsInDecayingDimensionsWhatAllOfThemFind) {
  const std::vector<float> rows = DecayingVectors(kRows, 32, 1), queries = DecayingVectors(kQueries, 32, 2);
  const auto index = Filled(Options(), rows), exact = Filled(Options(Kind::kFlat), rows);
  EXPECT_EQ(index->Stats().code, GetParam().code);
  EXPECT_GE(Recall(*index, *exact, queries, 100), 0.95);
  // What it finds is ranked by the whole vector.
  const float tolerance = GetParam().code == RowCode::kF32 ? 0 : 2e-3f;
  for (size_t q = 0; q < 20; ++q) {
    const std::vector<Neighbor> found = *index->Search(Row(queries, q), {.k = 5, .ef = 100});
    for (const Neighbor& neighbor : found) {
      VidSet one;
      one.Add(neighbor.vid);
      const float truth = (*exact->Score(Row(queries, q), one, 1))[0].distance;
      EXPECT_NEAR(neighbor.distance, truth, tolerance * (1 + std::abs(truth)));
    }
  }
}

TEST_P(Prefix, SnapshotsAnswerTheSameAndGrow) {
  const std::vector<float> rows = DecayingVectors(5000, 32, 1), queries = DecayingVectors(kQueries, 32, 2);
  const auto index = Filled(Options(), rows);
  const std::string path = testing::TempDir() + "/prefix" + std::to_string(static_cast<int>(GetParam().metric)) +
                           std::to_string(static_cast<int>(GetParam().code));
  ASSERT_TRUE(index->Save(path, "tag").ok());
  const auto loaded = LoadIndex(path, Options());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (size_t q = 0; q < kQueries; ++q) {
    EXPECT_EQ(*loaded->index->Search(Row(queries, q), {}), *index->Search(Row(queries, q), {}));
  }
  ASSERT_TRUE(loaded->index->Add({9000}, Row(queries, 0)).ok());
  EXPECT_EQ((*loaded->index->Search(Row(queries, 0), {.k = 1}))[0].vid, 9000u);
  IndexOptions other = Options();
  other.prefix = 0;
  EXPECT_EQ(LoadIndex(path, other).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(Prefix, AFlatIndexRanksTheNearestByThePrefix) {
  const std::vector<float> rows = DecayingVectors(kRows, 32, 1), queries = DecayingVectors(kQueries, 32, 2);
  IndexOptions options = Options(Kind::kFlat);
  const auto exact = Filled(options, rows);
  options.prefix = 32;
  const auto index = Filled(options, rows);
  const std::string path = testing::TempDir() + "/flat_prefix" + std::to_string(static_cast<int>(GetParam().metric));
  ASSERT_TRUE(index->Save(path, "tag").ok());
  const auto loaded = LoadIndex(path, options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const double few = Recall(*index, *exact, queries, 10), some = Recall(*index, *exact, queries, 60);
  EXPECT_LT(few, 0.85);  // it is the prefix that chooses
  EXPECT_GE(some, 0.99);
  EXPECT_EQ(Recall(*loaded->index, *exact, queries, 60), some);
  EXPECT_EQ(Recall(*index, *exact, queries, kRows), 1);
  for (size_t q = 0; q < 20; ++q) {
    EXPECT_EQ(*index->Search(Row(queries, q), {.ef = kRows}), *exact->Search(Row(queries, q), {}));
    EXPECT_EQ(*index->Score(Row(queries, q), exact->LiveVids(), 10), *exact->Search(Row(queries, q), {}));
  }
  const Vid best = (*exact->Search(Row(queries, 0), {.k = 1}))[0].vid;
  index->Remove({best});
  const std::vector<Neighbor> found = *index->Search(Row(queries, 0), {.k = 300, .ef = 20});
  EXPECT_EQ(found.size(), 300u);
  for (const Neighbor& neighbor : found) EXPECT_NE(neighbor.vid, best);
}

TEST(PrefixRows, WalksReadTheirBytesOnly) {
  const std::vector<float> rows = DecayingVectors(kFirstCoded, 32, 1);
  const auto walk_bytes = [&](uint32_t prefix) {
    VectorRows held({.dimension = kDimension, .prefix = prefix});
    EXPECT_TRUE(held.Grow(kFirstCoded).ok());
    for (uint32_t id = 0; id < kFirstCoded; ++id) held.Put(id, rows.data() + id * kDimension);
    EXPECT_TRUE(held.Encode(kFirstCoded).ok());
    return held.walk_bytes();
  };
  EXPECT_EQ(walk_bytes(0), 144u);  // 4 bits a dimension, two factors, rounded up to 16 bytes
  EXPECT_EQ(walk_bytes(kPrefix), 48u);
}

TEST(PrefixRows, NothingInThePrefixIsNoPlaceToStumble) {
  std::vector<float> rows = DecayingVectors(5000, 1e9, 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % kDimension < kPrefix && i / kDimension % 2 == 0) rows[i] = 0;
  }
  const auto index = Filled({.dimension = kDimension, .prefix = kPrefix}, rows);
  for (size_t i = 0; i < 40; ++i) {
    const auto found = *index->Search(Row(rows, i), {.k = 10, .ef = 64});
    ASSERT_EQ(found.size(), 10u);
    for (const Neighbor& neighbor : found) EXPECT_TRUE(std::isfinite(neighbor.distance));
  }
}

// Dimensions that all matter alike: the first of them say little. The tuner sees it and takes a longer list, or
// says that it finds less.
TEST(PrefixRows, ABadPrefixIsMadeUpForOrAdmitted) {
  const std::vector<float> rows = DecayingVectors(kRows, 1e9, 1), queries = DecayingVectors(kQueries, 1e9, 2);
  const auto index = Filled({.dimension = kDimension, .metric = Metric::kL2, .prefix = kPrefix}, rows);
  const auto exact = Filled({.kind = Kind::kFlat, .dimension = kDimension, .metric = Metric::kL2}, rows);
  EXPECT_LT(Recall(*index, *exact, queries, 96), 0.5);
  RecallTuner tuner;
  ASSERT_TRUE(tuner.Calibrate(*index, [] { return false; }).ok());
  const uint32_t ef = tuner.EfFor(0.95, 10);
  EXPECT_GT(ef, 500u);
  EXPECT_GE(Recall(*index, *exact, queries, ef), std::min(0.93, *tuner.Expect(ef, 10) - 0.03));
  EXPECT_LT(*tuner.Expect(96, 10), 0.6);
}

TEST(PrefixRows, OptionsAreChecked) {
  EXPECT_TRUE(IndexOptions({.dimension = 8, .prefix = 7}).Validate().ok());
  EXPECT_EQ(IndexOptions({.dimension = 8, .prefix = 8}).Validate().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CreateIndex({.kind = Kind::kFlat, .dimension = 8, .prefix = 9}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace larder::index
