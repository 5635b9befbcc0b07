#include "index/hnsw/frontier.h"

#include <algorithm>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace larder::index {
namespace {

std::vector<float> Sorted(std::vector<Candidate> candidates) {
  std::vector<float> distances;
  for (const Candidate& candidate : candidates) distances.push_back(candidate.distance);
  std::sort(distances.begin(), distances.end());
  return distances;
}

// Pops everything and then takes the results.
std::vector<float> Drain(Frontier* frontier, std::vector<float>* popped = nullptr) {
  for (Candidate candidate{}; frontier->Pop(&candidate);) {
    if (popped != nullptr) popped->push_back(candidate.distance);
  }
  std::vector<Candidate> results;
  frontier->Results(&results);
  return Sorted(results);
}

Reach Fixed(size_t ef) { return {.least = ef, .most = ef}; }

// Whatever the scale, also where the start is millions of times nearer or farther than the rest.
TEST(Frontier, KeepsTheNearest) {
  std::mt19937 random(1);
  Frontier frontier;
  std::vector<Reach> reaches;
  for (const size_t ef : {1u, 7u, 100u, 2000u}) {
    reaches.push_back(Fixed(ef));
    reaches.push_back({.least = ef, .most = 4 * ef, .k = 1, .slack = 0});  // no slack: the best `least` as well
  }
  for (const float scale : {1e-6f, 1.0f, 1e6f}) {
    for (const float start : {0.0f, 1e-9f, 1e-3f, 1.0f, 1e5f}) {
      for (const Reach& reach : reaches) {
        const size_t ef = reach.least;
        std::uniform_real_distribution<float> uniform(0.5f * scale, 1.5f * scale);
        frontier.Start(start * scale, 0, reach);
        std::vector<float> all = {start * scale};
        frontier.Push({start * scale, 0}, true);
        for (uint32_t id = 1; id < 1000; ++id) {
          const float distance = uniform(random);
          all.push_back(distance);
          if (distance < frontier.worst()) frontier.Push({distance, id}, true);
          if (id % 20 == 0) frontier.Tighten();
        }
        frontier.Tighten();
        std::sort(all.begin(), all.end());
        all.resize(std::min(all.size(), ef));
        const std::vector<float> found = Drain(&frontier);
        ASSERT_GE(found.size(), all.size());
        // A bucket more than the nearest, no worse: 1000 in a range of 2^11 buckets or more.
        EXPECT_LE(found.size(), all.size() + 12) << scale << ' ' << start << ' ' << ef;
        EXPECT_TRUE(std::equal(all.begin(), all.end(), found.begin())) << scale << ' ' << start << ' ' << ef;
      }
    }
  }
}

TEST(Frontier, PopsInOrderToABucket) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-3, 2);
  Frontier frontier;
  frontier.Start(1, 4, Fixed(5000));
  for (uint32_t id = 0; id < 3000; ++id) frontier.Push({uniform(random), id}, id % 2 == 0);
  std::vector<float> popped;
  EXPECT_EQ(Drain(&frontier, &popped).size(), 1500u);  // those that count
  ASSERT_EQ(popped.size(), 3000u);
  for (size_t i = 1; i < popped.size(); ++i) EXPECT_GT(popped[i], popped[i - 1] - 6.0f / 2048);
}

TEST(Frontier, ThoseThatDoNotCountTakeNoPlace) {
  Frontier frontier;
  frontier.Start(1, 0, Fixed(10));
  for (uint32_t id = 0; id < 100; ++id) frontier.Push({1 + 0.01f * static_cast<float>(id), id}, id % 10 == 0);
  frontier.Tighten();
  EXPECT_EQ(Drain(&frontier).size(), 10u);
  EXPECT_GT(frontier.worst(), 1.9f);
}

// 1.00, 1.01, ... 1.99: which of them are popped.
std::vector<float> PoppedOfHundred(const Reach& reach, float offset = 0) {
  Frontier frontier;
  frontier.Start(1.5f - offset, offset, reach);
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t id = i * 37 % 100;  // in no order
    frontier.Push({1 + 0.01f * static_cast<float>(id) - offset, id}, true);
    frontier.Tighten();
  }
  std::vector<float> popped;
  const size_t results = Drain(&frontier, &popped).size();
  EXPECT_EQ(results, popped.size());
  return popped;
}

// The fifth is at 1.04; its bucket ends within 1 / 2048 of it.
TEST(Frontier, GoesOnWithinTheSlackOfTheKth) {
  for (const float offset : {0.0f, 7.0f}) {
    EXPECT_EQ(PoppedOfHundred({.least = 10, .most = 50, .k = 5, .slack = 0.303f}, offset).size(), 36u);  // to 1.35
    EXPECT_EQ(PoppedOfHundred({.least = 10, .most = 50, .k = 5, .slack = 0.012f}, offset).size(), 10u);
    EXPECT_EQ(PoppedOfHundred({.least = 10, .most = 50, .k = 5, .slack = 5}, offset).size(), 50u);
    EXPECT_EQ(PoppedOfHundred({.least = 10, .most = 10, .k = 5, .slack = 5}, offset).size(), 10u);
    EXPECT_EQ(PoppedOfHundred({.least = 10, .most = 200, .k = 5, .slack = 5}, offset).size(), 100u);
  }
}

}  // namespace
}  // namespace larder::index
