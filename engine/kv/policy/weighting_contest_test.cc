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
  WeightingContest contest(1);
  EXPECT_EQ(contest.best(), Weighting::kRecency);
  for (uint32_t round = 1; round <= 3; ++round) {
    for (uint64_t id = 0; id < 4; ++id) contest.Request(Of(id), round, 4);  // all fit, whatever the weights
  }
  EXPECT_EQ(contest.best(), Weighting::kRecency);
}

// Two ids return every eighth request, the others never: with room for three, LRU finds nothing.
TEST(WeightingContest, LearnsThatNewcomersDoNotReturn) {
  WeightingContest contest(1);
  uint64_t fresh = 100;
  for (uint32_t round = 1; round <= 30; ++round) {
    for (const uint64_t id : {1, 2}) contest.Request(Of(id), round, 3);
    for (int i = 0; i < 6; ++i) contest.Request(Of(fresh++), 1, 3);
  }
  EXPECT_NE(contest.best(), Weighting::kRecency);
}

// A moving window: what was asked for three times never comes back, newcomers do.
TEST(WeightingContest, ReturnsToRecency) {
  WeightingContest contest(1);
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

TEST(WeightingContest, SamplesIds) {
  WeightingContest all(1), none(uint64_t{1} << 23);
  for (uint32_t round = 1; round <= 30; ++round) {
    for (const uint64_t id : {1, 2}) {
      all.Request(Of(id), round, 3);
      none.Request(Of(id), round, 3);
    }
    for (uint64_t i = 0; i < 6; ++i) {
      all.Request(Of(round * 10 + i + 100), 1, 3);
      none.Request(Of(round * 10 + i + 100), 1, 3);
    }
  }
  EXPECT_NE(all.best(), Weighting::kRecency);
  EXPECT_EQ(none.best(), Weighting::kRecency);
}

}  // namespace
}  // namespace larder::kv
