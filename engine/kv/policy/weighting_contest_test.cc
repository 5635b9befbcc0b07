#include "engine/kv/policy/weighting_contest.h"

#include <gtest/gtest.h>

namespace larder::kv {
namespace {

TEST(WeightOf, FollowsItsFormulas) {
  EXPECT_EQ(WeightOf(Weighting::kFrequency, 3), 3);
  EXPECT_EQ(WeightOf(Weighting::kSecond, 3), 3);
  EXPECT_EQ(WeightOf(Weighting::kRecency, 3), 1);
  EXPECT_EQ(WeightOf(Weighting::kSquare, 3), 9);
  EXPECT_EQ(WeightOf(Weighting::kProven, 3), 4);
  EXPECT_EQ(WeightOf(Weighting::kProven, 1), 0.01);
  EXPECT_EQ(WeightOf(Weighting::kFrequency, 0), 1);  // a sketch may have forgotten it
}

KvObject Of(uint64_t id) { return {id, 1, 1.0, 0}; }

TEST(WeightingContest, StaysWithRecencyWhileNothingSavesMore) {
  WeightingContest contest(1'000);
  EXPECT_EQ(contest.best(), Weighting::kRecency);
  for (uint32_t round = 1; round <= 3; ++round) {
    for (uint64_t id = 0; id < 4; ++id) contest.Request(Of(id), round, 4);  // all fit, whatever the weights
  }
  EXPECT_EQ(contest.best(), Weighting::kRecency);
}

// Two ids return every eighth request, the others never: with room for three, LRU finds nothing.
TEST(WeightingContest, LearnsThatNewcomersDoNotReturn) {
  WeightingContest contest(1'000);
  uint64_t fresh = 100;
  for (uint32_t round = 1; round <= 30; ++round) {
    for (const uint64_t id : {1, 2}) contest.Request(Of(id), round, 3);
    for (int i = 0; i < 6; ++i) contest.Request(Of(fresh++), 1, 3);
  }
  EXPECT_NE(contest.best(), Weighting::kRecency);
}

// A moving window: what was asked for three times never comes back, newcomers do.
TEST(WeightingContest, ReturnsToRecency) {
  WeightingContest contest(1'000);
  uint64_t fresh = 100;
  for (uint32_t round = 1; round <= 30; ++round) {
    for (const uint64_t id : {1, 2}) contest.Request(Of(id), round, 3);
    for (int i = 0; i < 6; ++i) contest.Request(Of(fresh++), 1, 3);
  }
  for (uint64_t id = 1'000; id < 101'000; ++id) {
    for (uint32_t n = 1; n <= 6; ++n) contest.Request(Of(id + n % 2), n, 3);
    contest.Request(Of(id + 1), 4, 3);
  }
  EXPECT_EQ(contest.best(), Weighting::kRecency);
}

// Shadows of a large cache hold a sample, which is cut in half as it grows; what it learns is the same.
TEST(WeightingContest, SamplesIds) {
  WeightingContest contest(100);
  const auto of = [](uint64_t id) { return KvObject{id * 7'919, 1, 1.0, 0}; };
  constexpr uint64_t kRoom = 3'000, kHot = 2'000;
  for (uint64_t id = 0; id < kRoom; ++id) contest.Request(of(id), 1, kRoom);
  EXPECT_EQ(contest.sampling(), 32u);  // 3,000 / 32 fit into 100, 3,000 / 16 do not
  EXPECT_EQ(contest.best(), Weighting::kRecency);
  uint64_t fresh = 1'000'000;
  for (uint32_t round = 2; round <= 10; ++round) {
    for (uint64_t id = 0; id < kHot; ++id) contest.Request(of(id), round, kRoom);
    for (int i = 0; i < 6'000; ++i) contest.Request(of(fresh++), 1, kRoom);
  }
  EXPECT_EQ(contest.sampling(), 32u);
  EXPECT_NE(contest.best(), Weighting::kRecency);
}

}  // namespace
}  // namespace larder::kv
