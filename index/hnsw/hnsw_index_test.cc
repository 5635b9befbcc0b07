#include "index/hnsw/hnsw_index.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/test_vectors.h"

namespace larder::index {
namespace {

using ::testing::IsEmpty;

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kL2};

std::unique_ptr<VectorIndex> Make(Kind kind, uint32_t dimension, Metric metric) {
  auto index = CreateIndex({.kind = kind, .dimension = dimension, .metric = metric});
  EXPECT_TRUE(index.ok()) << index.status();
  return *std::move(index);
}

std::vector<Vid> Sequence(size_t count, Vid first = 0, Vid step = 1) {
  std::vector<Vid> vids(count);
  for (size_t i = 0; i < count; ++i) vids[i] = first + i * step;
  return vids;
}

std::vector<Neighbor> Find(const VectorIndex& index, absl::Span<const float> query,
                           SearchParams params = {}) {
  auto found = index.Search(query, params);
  EXPECT_TRUE(found.ok()) << found.status();
  return *std::move(found);
}

// The share of the exact k nearest that `index` finds.
double Recall(const VectorIndex& index, const VectorIndex& exact, const std::vector<float>& queries,
              SearchParams params) {
  const uint32_t dimension = index.options().dimension;
  size_t hits = 0, expected = 0;
  for (size_t q = 0; q < queries.size() / dimension; ++q) {
    const absl::Span<const float> query(queries.data() + q * dimension, dimension);
    std::set<Vid> truth;
    for (const Neighbor& neighbor : Find(exact, query, params)) truth.insert(neighbor.vid);
    expected += truth.size();
    for (const Neighbor& neighbor : Find(index, query, params)) hits += truth.count(neighbor.vid);
  }
  return static_cast<double>(hits) / expected;
}

class HnswRecall : public testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, HnswRecall, testing::ValuesIn(kMetrics));

TEST_P(HnswRecall, AgreesWithTheExactIndex) {
  constexpr uint32_t kDimension = 48;
  const std::vector<float> rows = ClusteredVectors(5000, kDimension, 1);
  const std::vector<float> queries = ClusteredVectors(100, kDimension, 2);
  auto index = Make(Kind::kHnsw, kDimension, GetParam()), exact = Make(Kind::kFlat, kDimension, GetParam());
  ASSERT_TRUE(index->Add(Sequence(5000, 100, 3), rows).ok());
  ASSERT_TRUE(exact->Add(Sequence(5000, 100, 3), rows).ok());
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 10, .ef = 96}), 0.95);
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 10, .ef = 300}), 0.99);
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 200, .ef = 96}), 0.95);
  // A filter of each kind: scored whole, and walked.
  VidSet few, many;
  for (Vid vid = 100; vid < 15000; vid += 30) few.Add(vid);
  many.AddRange(0, 14500);
  EXPECT_EQ(Recall(*index, *exact, queries, {.k = 10, .ef = 96, .filter = &few}), 1);
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 10, .ef = 96, .filter = &many}), 0.95);
  // And half of it removed.
  for (Vid vid = 100; vid < 15100; vid += 6) {
    index->Remove({vid});
    exact->Remove({vid});
  }
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 10, .ef = 96}), 0.95);
  EXPECT_GE(Recall(*index, *exact, queries, {.k = 10, .ef = 96, .filter = &many}), 0.95);
}

TEST(HnswIndex, DistancesAreTheExactOnes) {
  constexpr uint32_t kDimension = 100;
  const std::vector<float> rows = ClusteredVectors(3000, kDimension, 1);
  for (Metric metric : kMetrics) {
    auto index = Make(Kind::kHnsw, kDimension, metric), exact = Make(Kind::kFlat, kDimension, metric);
    ASSERT_TRUE(index->Add(Sequence(3000), rows).ok());
    ASSERT_TRUE(exact->Add(Sequence(3000), rows).ok());
    const absl::Span<const float> query(rows.data() + 7 * kDimension, kDimension);
    const std::vector<Neighbor> found = Find(*index, query);
    EXPECT_EQ(found, Find(*exact, query));
    VidSet candidates;
    for (const Neighbor& neighbor : found) candidates.Add(neighbor.vid);
    EXPECT_EQ(*index->Score(query, candidates, 10), found);
    EXPECT_EQ(*index->Vector(7), *exact->Vector(7));
  }
}

TEST(HnswIndex, EmptyAndTiny) {
  auto index = Make(Kind::kHnsw, 3, Metric::kL2);
  EXPECT_THAT(Find(*index, {1, 2, 3}), IsEmpty());
  EXPECT_TRUE(index->Add({}, {}).ok());
  ASSERT_TRUE(index->Add({42}, {1, 2, 3}).ok());
  EXPECT_EQ(Find(*index, {1, 2, 4}), (std::vector<Neighbor>{{42, 1}}));
  index->Remove({42, 43});
  EXPECT_THAT(Find(*index, {1, 2, 3}), IsEmpty());
  EXPECT_EQ(index->Stats().live, 0u);
  EXPECT_EQ(index->Stats().tombstones, 1u);
  EXPECT_EQ(index->Search({1, 2}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Search({1, 2, 3}, {.k = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Add({1, 42}, {1, 2, 3, 4, 5, 6}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(index->Add({1, 1}, {1, 2, 3, 4, 5, 6}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(index->Contains(1));
  EXPECT_TRUE(index->Add({1}, {1, 2, 3}).ok());
}

TEST(HnswIndex, EveryDimension) {
  for (uint32_t dimension : {1u, 2u, 3u, 5u, 17u, 63u, 64u, 129u, 1000u, 4096u}) {
    const size_t count = dimension > 512 ? 300 : 2000;
    const std::vector<float> rows = ClusteredVectors(count, dimension, dimension);
    auto index = Make(Kind::kHnsw, dimension, Metric::kL2);
    ASSERT_TRUE(index->Add(Sequence(count), rows).ok());
    for (size_t row : {size_t{0}, count / 2, count - 1}) {
      const std::vector<Neighbor> found = Find(*index, {rows.data() + row * dimension, dimension}, {.k = 1});
      ASSERT_EQ(found.size(), 1u);
      EXPECT_EQ(found[0], (Neighbor{row, 0})) << dimension;
    }
  }
}

TEST(HnswIndex, KBeyondTheLive) {
  auto index = Make(Kind::kHnsw, 8, Metric::kCosine);
  ASSERT_TRUE(index->Add(Sequence(3000), ClusteredVectors(3000, 8, 4)).ok());
  std::vector<Vid> removed = Sequence(2500);
  index->Remove(removed);
  const std::vector<float> query = ClusteredVectors(1, 8, 5);
  for (uint32_t k : {1u, 100u, 499u, 500u, 501u, 10000u}) {
    const std::vector<Neighbor> found = Find(*index, query, {.k = k, .ef = 1});
    EXPECT_EQ(found.size(), std::min(k, 500u));
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    std::set<Vid> distinct;
    for (const Neighbor& neighbor : found) {
      EXPECT_GE(neighbor.vid, 2500u);
      distinct.insert(neighbor.vid);
    }
    EXPECT_EQ(distinct.size(), found.size());
  }
}

TEST(HnswIndex, ThousandsOfDuplicates) {
  constexpr uint32_t kDimension = 24;
  auto index = Make(Kind::kHnsw, kDimension, Metric::kCosine);
  auto exact = Make(Kind::kFlat, kDimension, Metric::kCosine);
  const std::vector<float> rows = ClusteredVectors(4000, kDimension, 1);
  const std::vector<float> twin(rows.begin(), rows.begin() + kDimension);
  for (Vid vid = 0; vid < 4000; ++vid) {  // interleaved: 2,000 twins and 4,000 others
    const absl::Span<const float> row(rows.data() + vid * kDimension, kDimension);
    ASSERT_TRUE(index->Add({vid}, row).ok());
    ASSERT_TRUE(exact->Add({vid}, row).ok());
    ASSERT_TRUE(vid % 2 != 0 || index->Add({10000 + vid}, twin).ok());
  }
  for (uint32_t k : {1u, 10u, 500u, 2001u}) {
    const std::vector<Neighbor> found = Find(*index, twin, {.k = k});
    ASSERT_EQ(found.size(), k);
    std::set<Vid> distinct;
    for (const Neighbor& neighbor : found) {
      EXPECT_TRUE(neighbor.vid == 0 || neighbor.vid >= 10000) << neighbor.vid;
      EXPECT_EQ(neighbor.distance, found[0].distance);
      distinct.insert(neighbor.vid);
    }
    EXPECT_EQ(distinct.size(), k);
  }
  // They do not cut off the rest: with the twins removed, the others are found as if alone.
  index->Remove(Sequence(2000, 10000, 2));
  EXPECT_GE(Recall(*index, *exact, ClusteredVectors(100, kDimension, 2), {.k = 10, .ef = 96}), 0.97);
  // The last live twin is found behind dead ones, with and without a filter.
  ASSERT_TRUE(index->Add({99999}, twin).ok());
  index->Remove({0});
  EXPECT_EQ(Find(*index, twin, {.k = 1})[0].vid, 99999u);
  VidSet high;
  high.AddRange(2000, 100000);
  EXPECT_EQ(Find(*index, twin, {.k = 1, .filter = &high})[0].vid, 99999u);
}

TEST(HnswIndex, NothingButDuplicates) {
  auto index = Make(Kind::kHnsw, 16, Metric::kDot);
  ASSERT_TRUE(index->Add(Sequence(1000), std::vector<float>(16000, 0.25f)).ok());
  const std::vector<Neighbor> found = Find(*index, std::vector<float>(16, 1.0f));
  std::set<Vid> distinct;
  for (const Neighbor& neighbor : found) distinct.insert(neighbor.vid);
  EXPECT_EQ(distinct.size(), 10u);
}

TEST(HnswIndex, FilterWithFewMatches) {
  auto index = Make(Kind::kHnsw, 16, Metric::kL2);
  ASSERT_TRUE(index->Add(Sequence(4000), ClusteredVectors(4000, 16, 1)).ok());
  VidSet filter;
  for (Vid vid : {3, 1999, 3999, 123456789}) filter.Add(vid);
  index->Remove({1999});
  const std::vector<Neighbor> found = Find(*index, ClusteredVectors(1, 16, 9), {.k = 10, .filter = &filter});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(std::min(found[0].vid, found[1].vid), 3u);
  EXPECT_EQ(std::max(found[0].vid, found[1].vid), 3999u);
  EXPECT_THAT(Find(*index, ClusteredVectors(1, 16, 9), {.filter = std::make_unique<VidSet>().get()}),
              IsEmpty());
}

TEST(HnswIndex, TheGraphDoesNotDependOnTheSizeOfCalls) {
  const std::vector<float> rows = ClusteredVectors(1500, 12, 1);
  auto whole = Make(Kind::kHnsw, 12, Metric::kL2), pieces = Make(Kind::kHnsw, 12, Metric::kL2);
  ASSERT_TRUE(whole->Add(Sequence(1500), rows).ok());
  for (Vid vid = 0; vid < 1500; ++vid) ASSERT_TRUE(pieces->Add({vid}, {rows.data() + vid * 12, 12}).ok());
  for (size_t q = 0; q < 50; ++q) {
    const absl::Span<const float> query(rows.data() + q * 12, 12);
    EXPECT_EQ(Find(*whole, query, {.ef = 12}), Find(*pieces, query, {.ef = 12}));
  }
}

// Writers, removers and readers at once; run it under ThreadSanitizer too.
TEST(HnswIndex, AddSearchRemoveTogether) {
  constexpr uint32_t kDimension = 16;
  constexpr Vid kPerThread = 1200;
  const std::vector<float> rows = ClusteredVectors(2 * kPerThread, kDimension, 1);
  auto index = Make(Kind::kHnsw, kDimension, Metric::kCosine);
  std::atomic<Vid> removed_below{0};
  std::atomic<bool> done{false};
  const auto add = [&](Vid first) {
    for (Vid vid = first; vid < first + kPerThread; vid += 3) {
      ASSERT_TRUE(index->Add({vid, vid + 1, vid + 2}, {rows.data() + vid * kDimension, 3 * kDimension}).ok());
      EXPECT_EQ(Find(*index, {rows.data() + vid * kDimension, kDimension}, {.k = 1, .ef = 64}).size(), 1u);
    }
  };
  std::thread writer_a([&] { add(0); }), writer_b([&] { add(kPerThread); });
  std::thread remover([&] {
    while (!index->Contains(kPerThread)) std::this_thread::yield();  // from then on never nothing at all
    for (Vid vid = 0; vid < kPerThread / 2; ++vid) {
      while (!index->Contains(vid)) std::this_thread::yield();
      index->Remove({vid});
      removed_below.store(vid + 1);
    }
  });
  std::thread reader([&] {
    VidSet filter;
    filter.AddRange(0, 2 * kPerThread);
    for (size_t q = 0; !done.load(); ++q) {
      const Vid gone = removed_below.load();
      const absl::Span<const float> query(rows.data() + q % (2 * kPerThread) * kDimension, kDimension);
      const std::vector<Neighbor> found =
          Find(*index, query, {.k = 20, .ef = 40, .filter = q % 3 == 0 ? &filter : nullptr});
      for (const Neighbor& neighbor : found) EXPECT_GE(neighbor.vid, gone);
      EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
      index->Vector(q % (2 * kPerThread)).IgnoreError();
      if (q % 64 == 0) index->Score(query, filter, 5).IgnoreError(), index->LiveVids();
    }
  });
  writer_a.join(), writer_b.join(), remover.join();
  done.store(true);
  reader.join();
  EXPECT_EQ(index->Stats().live, 2 * kPerThread - kPerThread / 2);
  EXPECT_EQ(index->LiveVids().size(), index->Stats().live);
  auto exact = Make(Kind::kFlat, kDimension, Metric::kCosine);
  ASSERT_TRUE(exact->Add(Sequence(2 * kPerThread), rows).ok());
  exact->Remove(Sequence(kPerThread / 2));
  EXPECT_GE(Recall(*index, *exact, ClusteredVectors(50, kDimension, 2), {.k = 10, .ef = 96}), 0.95);
}

TEST(HnswIndex, MemoryIsCounted) {
  const std::vector<float> rows = ClusteredVectors(6000, 100, 1);
  const auto bytes_per_row = [&](RowCode code) {
    auto index = *CreateIndex({.kind = Kind::kHnsw, .dimension = 100, .metric = Metric::kL2, .code = code});
    EXPECT_TRUE(index->Add(Sequence(6000), rows).ok());
    return index->Stats().resident_bytes / 6000;
  };
  EXPECT_GT(bytes_per_row(RowCode::kF32), 400u + 132);
  EXPECT_LT(bytes_per_row(RowCode::kF32), 650u);
  EXPECT_GT(bytes_per_row(RowCode::kSq4x8), 150u + 132);
  EXPECT_LT(bytes_per_row(RowCode::kSq4x8), 450u);
}

// Indexes beyond kFirstCoded rows.
class CodedHnsw : public testing::TestWithParam<Metric> {
 protected:
  static constexpr uint32_t kDimension = 100;
  static constexpr size_t kRows = 6000;
  static_assert(kRows > kFirstCoded);
  const std::vector<float> rows_ = ClusteredVectors(kRows, kDimension, 1);
  const std::vector<float> queries_ = ClusteredVectors(100, kDimension, 2);
  absl::Span<const float> Row(size_t i) const { return {rows_.data() + i * kDimension, kDimension}; }
  absl::Span<const float> Query(size_t i) const { return {queries_.data() + i * kDimension, kDimension}; }
};
INSTANTIATE_TEST_SUITE_P(Metrics, CodedHnsw, testing::ValuesIn(kMetrics));

TEST_P(CodedHnsw, AgreesWithTheExactIndex) {
  auto index = Make(Kind::kHnsw, kDimension, GetParam()), exact = Make(Kind::kFlat, kDimension, GetParam());
  ASSERT_TRUE(index->Add(Sequence(kRows), rows_).ok());
  ASSERT_TRUE(exact->Add(Sequence(kRows), rows_).ok());
  EXPECT_GE(Recall(*index, *exact, queries_, {.k = 10, .ef = 96}), 0.95);
  EXPECT_GE(Recall(*index, *exact, queries_, {.k = 10, .ef = 400}), 0.985);
  VidSet many;
  many.AddRange(0, 5500);
  EXPECT_GE(Recall(*index, *exact, queries_, {.k = 10, .ef = 96, .filter = &many}), 0.95);
  for (size_t q = 0; q < 100; ++q) {
    const double size = GetParam() == Metric::kCosine ? 1 : std::abs(Find(*exact, Query(q))[0].distance) + 1;
    for (const Neighbor& neighbor : Find(*index, Query(q))) {
      VidSet one;
      one.Add(neighbor.vid);
      const float truth = (*exact->Score(Query(q), one, 1))[0].distance;
      EXPECT_NEAR(neighbor.distance, truth, 2e-3 * size);
    }
  }
}

TEST_P(CodedHnsw, VectorsComeBackWithinTwelveBits) {
  auto index = Make(Kind::kHnsw, kDimension, GetParam()), exact = Make(Kind::kFlat, kDimension, GetParam());
  ASSERT_TRUE(index->Add(Sequence(kRows), rows_).ok());
  ASSERT_TRUE(exact->Add(Sequence(kRows), rows_).ok());
  auto fresh = Make(Kind::kHnsw, kDimension, GetParam());
  for (Vid vid = 0; vid < kRows; ++vid) ASSERT_TRUE(fresh->Add({vid}, *index->Vector(vid)).ok());
  for (Vid vid = 0; vid < kRows; vid += 97) {
    const std::vector<float> truth = *exact->Vector(vid), held = *index->Vector(vid), copied = *fresh->Vector(vid);
    double squares = 0, error = 0, drift = 0;
    for (size_t i = 0; i < kDimension; ++i) {
      squares += truth[i] * truth[i];
      error += (truth[i] - held[i]) * (truth[i] - held[i]);
      drift += (copied[i] - held[i]) * (copied[i] - held[i]);
    }
    EXPECT_LT(error, 1e-6 * squares);
    EXPECT_LT(drift, 1e-6 * squares);
  }
}

TEST_P(CodedHnsw, SnapshotsAnswerTheSame) {
  auto index = Make(Kind::kHnsw, kDimension, GetParam());
  ASSERT_TRUE(index->Add(Sequence(kRows), rows_).ok());
  const std::string path = testing::TempDir() + "/coded" + std::to_string(static_cast<int>(GetParam()));
  ASSERT_TRUE(index->Save(path, "tag").ok());
  const auto loaded = LoadIndex(path, index->options());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (size_t q = 0; q < 100; ++q) EXPECT_EQ(Find(*loaded->index, Query(q)), Find(*index, Query(q)));
  ASSERT_TRUE(loaded->index->Add({kRows}, Query(0)).ok());
  EXPECT_EQ(Find(*loaded->index, Query(0), {.k = 1})[0].vid, kRows);
}

TEST_P(CodedHnsw, TwinsAndRemovedOnes) {
  auto index = Make(Kind::kHnsw, kDimension, GetParam());
  ASSERT_TRUE(index->Add(Sequence(kRows), rows_).ok());
  std::vector<float> twins;
  for (int i = 0; i < 1000; ++i) twins.insert(twins.end(), Row(5).begin(), Row(5).end());
  ASSERT_TRUE(index->Add(Sequence(1000, 10000), twins).ok());
  VidSet the_twins;
  the_twins.AddRange(10000, 11000);
  the_twins.Add(5);
  const std::vector<Neighbor> found = *index->Score(Row(5), the_twins, 1001);
  ASSERT_EQ(found.size(), 1001u);
  for (const Neighbor& twin : found) EXPECT_EQ(twin.distance, found[0].distance);
  index->Remove(Sequence(3000));
  for (const Neighbor& neighbor : Find(*index, Row(5), {.k = 2000})) EXPECT_GE(neighbor.vid, 3000u);
  EXPECT_EQ(Find(*index, Row(5), {.k = 2000}).size(), 2000u);
}

}  // namespace
}  // namespace larder::index
