#include "engine/kv/pool/run_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace larder::kv {
namespace {

TEST(RunAllocator, GivesTheLowestRunThatFits) {
  RunAllocator runs(100, 200);
  EXPECT_EQ(runs.Allocate(30), 100u);
  EXPECT_EQ(runs.Allocate(30), 130u);
  EXPECT_EQ(runs.Allocate(50), std::nullopt);
  EXPECT_EQ(runs.Allocate(40), 160u);
  EXPECT_EQ(runs.free_bytes(), 0u);
  runs.Free(100, 30);
  EXPECT_EQ(runs.Allocate(10), 100u);
  EXPECT_EQ(runs.Allocate(20), 110u);
}

TEST(RunAllocator, JoinsFreeNeighboursOnBothSides) {
  RunAllocator runs(0, 90);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(runs.Allocate(30).has_value());
  runs.Free(0, 30);
  runs.Free(60, 30);
  EXPECT_EQ(runs.Allocate(60), std::nullopt);
  runs.Free(30, 30);
  EXPECT_EQ(runs.Allocate(90), 0u);
}

// Against a plain map of what is held: no two runs overlap, none leaves the bounds, nothing is lost.
TEST(RunAllocator, KeepsRunsApartThroughRandomUse) {
  std::mt19937 random(7);
  RunAllocator runs(64, 4'096);
  std::map<uint64_t, uint64_t> held;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t length = 1 + random() % 300;
    if (const auto offset = runs.Allocate(length); offset.has_value()) {
      const auto next = held.lower_bound(*offset);
      ASSERT_GE(*offset, 64u);
      ASSERT_LE(*offset + length, 4'096u);
      ASSERT_TRUE(next == held.end() || *offset + length <= next->first) << i;
      ASSERT_TRUE(next == held.begin() || std::prev(next)->first + std::prev(next)->second <= *offset) << i;
      held.emplace(*offset, length);
    }
    if (held.empty() || random() % 2 == 0) continue;
    const auto victim = std::next(held.begin(), static_cast<int64_t>(random() % held.size()));
    runs.Free(victim->first, victim->second);
    held.erase(victim);
  }
  for (const auto& [offset, length] : held) runs.Free(offset, length);
  EXPECT_EQ(runs.free_bytes(), runs.capacity());
  EXPECT_EQ(runs.Allocate(runs.capacity()), 64u);
}

}  // namespace
}  // namespace larder::kv
