#include "index/vid_set.h"

#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "index/roaring_check.h"

namespace larder::index {
namespace {

constexpr uint64_t kBig = 7ull << 40;

VidSet Of(const std::vector<uint64_t>& vids) {
  VidSet set;
  for (uint64_t vid : vids) set.Add(vid);
  return set;
}

std::vector<uint64_t> Values(const VidSet& set) {
  std::vector<uint64_t> values;
  set.ForEach([&](uint64_t vid) {
    values.push_back(vid);
    return true;
  });
  return values;
}

TEST(VidSet, AddsContainsRemoves) {
  VidSet set = Of({5, 1, kBig, 5, ~0ull, 0});
  EXPECT_EQ(Values(set), (std::vector<uint64_t>{0, 1, 5, kBig, ~0ull}));
  EXPECT_EQ(set.size(), 5u);
  EXPECT_TRUE(set.Contains(kBig));
  EXPECT_FALSE(set.Contains(kBig + 1));
  set.Remove(kBig);
  set.Remove(12345);
  EXPECT_FALSE(set.Contains(kBig));
  EXPECT_EQ(set.size(), 4u);
  EXPECT_EQ(set, Of({0, 1, 5, ~0ull}));
}

TEST(VidSet, EmptyAfterRemovingAllEqualsEmpty) {
  VidSet set = Of({kBig});
  set.Remove(kBig);
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set, VidSet());
  EXPECT_EQ(set.Serialize(), VidSet().Serialize());
}

TEST(VidSet, RangesCrossTheHighHalf) {
  VidSet set;
  const uint64_t edge = 1ull << 32;
  set.AddRange(edge - 3, edge + 2);
  set.AddRange(9, 9);
  set.AddRange(10, 9);
  EXPECT_EQ(Values(set), (std::vector<uint64_t>{edge - 3, edge - 2, edge - 1, edge, edge + 1}));
  VidSet top;
  top.AddRange(~0ull - 2, ~0ull);
  EXPECT_EQ(Values(top), (std::vector<uint64_t>{~0ull - 2, ~0ull - 1}));
}

TEST(VidSet, ForEachStops) {
  int visited = 0;
  Of({1, 2, kBig, kBig + 1}).ForEach([&](uint64_t vid) {
    ++visited;
    return vid != kBig;
  });
  EXPECT_EQ(visited, 3);
}

TEST(VidSet, CopiesAndMoves) {
  VidSet a = Of({1, 2}), b = a;
  b.Add(3);
  EXPECT_EQ(a, Of({1, 2}));
  VidSet c = std::move(b);
  EXPECT_EQ(c, Of({1, 2, 3}));
  b = Of({9});  // a moved-from set is usable
  EXPECT_EQ(b, Of({9}));
  a = std::move(c);
  EXPECT_EQ(a, Of({1, 2, 3}));
}

// Against std::set, over sparse, dense and run-like sets on both sides of the high half.
TEST(VidSet, AlgebraAgreesWithStdSet) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 30; ++round) {
    std::set<uint64_t> a, b;
    VidSet va, vb;
    const uint64_t span = round % 3 == 0 ? 100 : round % 3 == 1 ? 70000 : 1ull << 34;
    for (int i = 0; i < 6000; ++i) {
      const uint64_t x = random() % span, y = random() % span;
      a.insert(x), va.Add(x);
      b.insert(y), vb.Add(y);
    }
    const uint64_t begin = random() % span;
    va.AddRange(begin, begin + 1000);
    for (uint64_t v = begin; v < begin + 1000; ++v) a.insert(v);
    std::vector<uint64_t> both, either, difference;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(either));
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(difference));
    VidSet intersected = va, united = va, subtracted = va;
    intersected &= vb, united |= vb, subtracted -= vb;
    EXPECT_EQ(Values(intersected), both);
    EXPECT_EQ(Values(united), either);
    EXPECT_EQ(Values(subtracted), difference);
    EXPECT_EQ(united.size(), either.size());
    const auto back = VidSet::Deserialize(united.Serialize());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, united);
  }
}

TEST(VidSet, AlgebraWithItself) {
  VidSet set = Of({1, kBig});
  const VidSet& self = set;
  set &= self;
  set |= self;
  EXPECT_EQ(set, Of({1, kBig}));
  set -= self;
  EXPECT_TRUE(set.empty());
}

TEST(VidSet, BytesGrow) {
  VidSet small = Of({1}), large;
  for (uint64_t i = 0; i < 100000; ++i) large.Add(i * 3);
  EXPECT_GT(large.bytes(), 30000u);
  EXPECT_LT(large.bytes(), 100000u);
  EXPECT_LT(small.bytes(), 400u);
}

// Every container kind: array, bitset, run.
VidSet Mixed() {
  VidSet set = Of({1, 5, 9, kBig});
  for (uint64_t i = 0; i < 20000; ++i) set.Add((1 << 16) + 3 * i);
  set.AddRange(4 << 16, (5 << 16) + 77);
  set.AddRange(kBig + 100, kBig + 50000);
  return set;
}

TEST(VidSet, RoundTrips) {
  for (const VidSet& set : {VidSet(), Of({0}), Of({~0ull}), Mixed()}) {
    const auto back = VidSet::Deserialize(set.Serialize());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, set);
  }
}

TEST(VidSet, RefusesEveryTruncationAndExcess) {
  const std::string bytes = Mixed().Serialize();
  for (size_t length = 0; length < bytes.size(); length += length < 300 ? 1 : 37) {
    EXPECT_EQ(VidSet::Deserialize(absl::string_view(bytes).substr(0, length)).status().code(),
              absl::StatusCode::kDataLoss)
        << length;
  }
  EXPECT_EQ(VidSet::Deserialize(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

// A flipped bit is refused, or gives another well-formed set: one whose own serialised form reads
// back as itself and whose count is the number of its values.
TEST(VidSet, FlippedBytesNeverGiveABrokenSet) {
  const std::string bytes = Mixed().Serialize();
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = bytes;
    const size_t at = i < 400 ? i % 200 : random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    const auto set = VidSet::Deserialize(damaged);
    if (!set.ok()) {
      EXPECT_EQ(set.status().code(), absl::StatusCode::kDataLoss);
      ++refused;
      continue;
    }
    const std::vector<uint64_t> values = Values(*set);
    EXPECT_EQ(values.size(), set->size());
    EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
    EXPECT_EQ(std::adjacent_find(values.begin(), values.end()), values.end());
    VidSet copy = *set;
    copy -= Mixed();
    copy &= *set;
    EXPECT_LE(copy.size(), set->size());
  }
  EXPECT_GT(refused, 1000);
}

TEST(VidSet, LyingCountsAreRefused) {
  for (uint64_t count : {uint64_t{1}, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::string bytes(reinterpret_cast<const char*>(&count), sizeof(count));
    EXPECT_FALSE(VidSet::Deserialize(bytes).ok());
    EXPECT_FALSE(VidSet::Deserialize(bytes + std::string(12, '\xff')).ok());
  }
}

TEST(CheckRoaring, NamesTheByte) {
  const auto result = CheckRoaring(absl::string_view("\x01\x00\x00\x00", 4));
  EXPECT_EQ(result.status().message(), "bitmap: at byte 0: unknown cookie 1");
}

TEST(VidSet, ManyInAnyOrderAndWordsEqualSingleOnes) {
  std::mt19937_64 random(7);
  for (const uint64_t spread : {100ull, 5'000ull, 70'000ull, 3'000'000ull, 1ull << 40}) {
    SCOPED_TRACE(spread);
    std::vector<uint64_t> vids;
    for (int i = 0; i < 20'000; ++i) vids.push_back(kBig - 50'000 + random() % spread);
    VidSet many;
    many.AddMany(vids);
    EXPECT_EQ(many, Of(vids));
    many.AddRange(kBig + 200'000, kBig + 340'001);  // runs
    VidSet words;
    uint64_t before = 0;
    many.ForEachWord([&](uint64_t first, uint64_t bits) {
      EXPECT_EQ(first % 64, 0u);
      EXPECT_NE(bits, 0u);
      EXPECT_TRUE(before == 0 || first > before);
      before = first;
      for (; bits != 0; bits &= bits - 1) words.Add(first + static_cast<uint64_t>(__builtin_ctzll(bits)));
    });
    EXPECT_EQ(words, many);
  }
}

}  // namespace
}  // namespace larder::index
