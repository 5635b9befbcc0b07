#include "index/hnsw/filtered_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "index/hnsw/vid_map.h"
#include "index/test_vectors.h"
#include "index/vector_index.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 64;
constexpr size_t kRows = 20'000, kQueries = 50;

TEST(VidMap, IsAMapWhateverTheOrder) {
  std::mt19937_64 random(1);
  VidMap map;
  std::vector<std::pair<Vid, uint32_t>> all;
  uint32_t next = 100;
  for (Vid vid = 1'000; vid < 9'000; ++vid) all.emplace_back(vid, next++);         // a run
  for (Vid vid = 9'000; vid < 13'000; ++vid) all.emplace_back(vid, 0);             // in any order
  for (Vid vid = 1ull << 40; vid < (1ull << 40) + 7'000; vid += 7) all.emplace_back(vid, 0);
  std::shuffle(all.begin() + 8'000, all.end(), random);
  for (size_t i = 8'000; i < all.size(); ++i) all[i].second = next++;
  for (const auto& [vid, id] : all) {
    ASSERT_TRUE(map.Insert(vid, id));
    ASSERT_FALSE(map.Insert(vid, id + 1));
  }
  VidSet some;
  std::set<uint32_t> expected, found;
  for (const auto& [vid, id] : all) {
    ASSERT_EQ(map.Find(vid), id);
    if (random() % 3 == 0) some.Add(vid), expected.insert(id);
  }
  some.Add(5);  // not there
  map.ForEachOf(some, [&](uint32_t id, uint64_t bits) {
    for (uint32_t i = 0; i < 64; ++i) {
      if (bits >> i & 1) found.insert(id + i);
    }
  });
  EXPECT_EQ(found, expected);
  map.Erase(1'000);
  EXPECT_EQ(map.Find(1'000), VidMap::kNone);
  EXPECT_EQ(map.Find(999), VidMap::kNone);
}

class FilteredWalk : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rows_ = new std::vector<float>(ClusteredVectors(kRows, kDimension, 1));
    graph_ = CreateIndex({.kind = Kind::kHnsw, .dimension = kDimension})->release();
    flat_ = CreateIndex({.kind = Kind::kFlat, .dimension = kDimension})->release();
    std::vector<Vid> vids(kRows);
    for (size_t i = 0; i < kRows; ++i) vids[i] = i;
    ASSERT_TRUE(graph_->Add(vids, *rows_).ok());
    ASSERT_TRUE(flat_->Add(vids, *rows_).ok());
  }
  // Recall of both ways under the filter that `of` makes for a query; each answer is whole and matches.
  template <typename Of>
  void Expect(double least, const Of& of) {
    const std::vector<float> queries = ClusteredVectors(kQueries, kDimension, 2);
    for (const bool scan : {false, true}) {
      double hits = 0;
      for (size_t q = 0; q < kQueries; ++q) {
        const absl::Span<const float> query(queries.data() + q * kDimension, kDimension);
        const VidSet filter = of(query);
        const auto found = *graph_->Search(query, {.k = 10, .ef = 96, .filter = &filter, .scan_filter = scan});
        ASSERT_EQ(found.size(), std::min<uint64_t>(10, filter.size()));
        std::set<Vid> truth;
        const auto exact = *flat_->Score(query, filter, 10);
        for (const Neighbor& one : exact) truth.insert(one.vid);
        for (const Neighbor& one : found) {
          ASSERT_TRUE(filter.Contains(one.vid));
          hits += truth.count(one.vid);
        }
      }
      EXPECT_GE(hits / 10 / kQueries, least) << (scan ? "scan" : "walk");
    }
  }
  static VidSet Every(uint64_t step) {
    VidSet set;
    for (Vid vid = 0; vid < kRows; vid += step) set.Add(vid);
    return set;
  }
  // The share of the rows that is nearest to the query, or to the row farthest from it.
  static VidSet Near(absl::Span<const float> query, double share, bool far) {
    auto order = *flat_->Search(query, {.k = kRows});
    if (far) order = *flat_->Search(*flat_->Vector(order.back().vid), {.k = kRows});
    VidSet set;
    for (size_t i = 0; i < share * kRows; ++i) set.Add(order[i].vid);
    return set;
  }

  static std::vector<float>* rows_;
  static VectorIndex *graph_, *flat_;
};
std::vector<float>* FilteredWalk::rows_;
VectorIndex *FilteredWalk::graph_, *FilteredWalk::flat_;

TEST_F(FilteredWalk, FindsWhateverTheShare) {
  for (const uint64_t step : {1, 2, 5, 10, 15}) {
    SCOPED_TRACE(step);
    const VidSet filter = Every(step);
    Expect(0.98, [&](absl::Span<const float>) { return filter; });
  }
}

TEST_F(FilteredWalk, FindsNearAndFar) {
  for (const double share : {0.5, 0.2, 0.1}) {
    for (const bool far : {false, true}) {
      SCOPED_TRACE(::testing::Message() << share << (far ? " far" : " near"));
      Expect(0.97, [&](absl::Span<const float> query) { return Near(query, share, far); });
    }
  }
}

}  // namespace
}  // namespace larder::index
