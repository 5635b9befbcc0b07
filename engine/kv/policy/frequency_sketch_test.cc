#include "engine/kv/policy/frequency_sketch.h"

#include <gtest/gtest.h>

namespace larder::kv {
namespace {

TEST(FrequencySketch, CountsWhatIsAloneInItExactly) {
  FrequencySketch sketch(1'000);
  EXPECT_EQ(sketch.Estimate(5), 0u);
  for (uint32_t n = 1; n <= 16; ++n) {
    sketch.Add(5);
    EXPECT_EQ(sketch.Estimate(5), n);  // the doorkeeper's one, then the counters
  }
  sketch.Add(5);
  EXPECT_EQ(sketch.Estimate(5), 16u);  // 15 + 1: four bits are full
  EXPECT_EQ(sketch.Estimate(6), 0u);
}

// 64 slots: halved at the 640th sighting.
TEST(FrequencySketch, HalvesAndForgetsTheDoorkeeper) {
  FrequencySketch sketch(64);
  for (int i = 0; i < 9; ++i) sketch.Add(1);  // doorkeeper and 8
  EXPECT_EQ(sketch.Estimate(1), 9u);
  for (int i = 0; i < 630; ++i) sketch.Add(2);
  EXPECT_EQ(sketch.Estimate(1), 9u);
  sketch.Add(2);  // the 640th: 1 has 8 / 2 left, 2 has 15 / 2 and its place at the door again
  EXPECT_EQ(sketch.Estimate(1), 4u);
  EXPECT_EQ(sketch.Estimate(2), 8u);
}

TEST(FrequencySketch, IsSeldomTooHighWhenFull) {
  constexpr uint64_t kIds = 4'096;
  FrequencySketch sketch(kIds);
  for (uint64_t id = 0; id < kIds; ++id) {
    for (uint64_t n = 0; n <= id % 4; ++n) sketch.Add(id);
  }
  uint64_t excess = 0;
  for (uint64_t id = 0; id < kIds; ++id) {
    const uint32_t estimate = sketch.Estimate(id);
    EXPECT_GE(estimate, id % 4 + 1) << id;
    excess += estimate - (id % 4 + 1);
  }
  EXPECT_LT(excess, kIds / 10);  // mostly false sightings of the doorkeeper
}

TEST(FrequencySketch, TakesThreeBytesAnId) {
  EXPECT_EQ(FrequencySketch(1 << 16).MemoryBytes(), uint64_t{3} << 16);
}

}  // namespace
}  // namespace larder::kv
