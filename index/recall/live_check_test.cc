#include "index/recall/live_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "index/recall/recall_test_support.h"
#include "index/recall/recall_tuner.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 16;
constexpr int64_t kMillisecond = 1'000'000;

bool Never() { return false; }

LiveCheckOptions EverySearch() {
  LiveCheckOptions options;
  options.sample_every = 1;
  options.clock = [] { return int64_t{0}; };  // checks cost nothing
  return options;
}

void Leave(const SearchParams&, std::vector<Neighbor>*) {}

// Asks and offers the answer, as the engine does. `search_ns` is large where the budget is no matter.
bool asked_by_a_user = false;  // of SpoiledIndex's searches; single-threaded tests only

template <typename Taker>
std::vector<Neighbor> Ask(const VectorIndex& index, Taker* taker, uint64_t seed, uint32_t ef = 64,
                          int64_t search_ns = 1'000'000'000'000, Vid end_vid = 1'000'000) {
  const std::vector<float> query = ClusteredVectors(1, kDimension, 10'000 + seed);
  asked_by_a_user = true;
  const std::vector<Neighbor> answer = *index.Search(query, {.k = 10, .ef = ef});
  asked_by_a_user = false;
  taker->Offer({query, 10, ef, answer, end_vid, search_ns});
  return answer;
}

TEST(LiveCheck, FindsThatEveryFifthAnswerIsMissing) {
  const SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7), DropEveryFifth);
  LiveCheck check(EverySearch());
  for (uint64_t q = 0; q < 50; ++q) {
    Ask(index, &check, q);
    EXPECT_TRUE(check.CheckOne(index, RecallTable(), Never));
  }
  const LiveEstimate seen = check.Estimate();
  EXPECT_NEAR(seen.recall, 0.8, 1e-9);
  EXPECT_LT(seen.standard_error, 0.01);
  EXPECT_EQ(seen.checked, 50u);
  EXPECT_EQ(check.EstimateAround(64).checked, 50u);
  EXPECT_EQ(check.EstimateAround(1000).checked, 0u);
}

TEST(LiveCheck, SpendsNoMoreThanItsShare) {
  SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7), Leave);
  int64_t now = 0;
  index.on_score = [&] { now += 40 * kMillisecond; };
  LiveCheckOptions options;
  options.clock = [&] { return now; };
  LiveCheck check(options);
  check.set_cost_ns(40 * kMillisecond);
  uint32_t checks = 0;
  for (uint64_t q = 0; q < 100'000; ++q) {
    const std::vector<float> query(kDimension, static_cast<float>(q % 17));
    check.Offer({query, 10, 64, {}, 1'000'000, kMillisecond / 2});
    checks += check.CheckOne(index, RecallTable(), Never);
    ASSERT_LE(check.spent_ns(), check.search_ns() / 100) << "after " << q << " searches";
  }
  EXPECT_GE(checks, 11u) << "50 s of searches pay for 12 checks";
}

TEST(LiveCheck, BreaksOffWhatTakesTooLong) {
  SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7), Leave);
  int64_t now = 0;
  LiveCheckOptions options = EverySearch();
  options.clock = [&] { return now += 50 * kMillisecond; };  // each look costs: a slow machine
  LiveCheck check(options);
  check.set_cost_ns(1);
  Ask(index, &check, 1);
  EXPECT_FALSE(check.CheckOne(index, RecallTable(), Never));
  EXPECT_GT(check.spent_ns(), 0);
  EXPECT_EQ(check.Estimate().checked, 0u);
}

TEST(LiveCheck, SavesUpNoMoreThanABurst) {
  const SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7), Leave);
  int64_t now = 0;
  LiveCheckOptions options = EverySearch();
  options.clock = [&] { return now += 300 * kMillisecond; };  // a check takes at least that
  LiveCheck check(options);
  check.set_cost_ns(600 * kMillisecond);
  for (uint64_t q = 0; q < 30; ++q) Ask(index, &check, q);  // worth 300,000 s of checks
  uint32_t checks = 0;
  for (uint64_t q = 0; q < 30; ++q) checks += check.CheckOne(index, RecallTable(), Never);
  EXPECT_GE(checks, 1u);
  EXPECT_LE(checks, 4u);
}

TEST(LiveCheck, CountsNeitherWhatWasAddedNorWhatWasRemovedSince) {
  const auto index = FilledIndex(Kind::kFlat, 2'000, kDimension, 7);
  LiveCheck check(EverySearch());
  const std::vector<Neighbor> answer = Ask(*index, &check, 3, 64, 1'000'000'000'000, /*end_vid=*/2'001);
  index->Remove({answer[0].vid, answer[4].vid});
  const std::vector<float> query = ClusteredVectors(1, kDimension, 10'003);
  ASSERT_TRUE(index->Add({5'000}, query).ok());
  ASSERT_TRUE(check.CheckOne(*index, RecallTable(), Never));
  EXPECT_EQ(check.Estimate().recall, 1);
}

TEST(LiveCheck, OfferAndCheckAtOnce) {
  const auto index = FilledIndex(Kind::kFlat, 1'000, kDimension, 7);
  LiveCheck check(EverySearch());
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<float> query = ClusteredVectors(1, kDimension, t);
      const std::vector<Neighbor> answer = *index->Search(query, {.k = 10});
      for (uint64_t q = 0; q < 300; ++q) check.Offer({query, 10, 64, answer, 1'000'000, 1'000'000'000'000});
    });
  }
  for (int i = 0; i < 100; ++i) {
    check.CheckOne(*index, RecallTable(), Never);
    if (i == 50) check.Forget();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(check.Estimate().recall + (check.Estimate().checked == 0), 1);
}

// Leaves out answers as a graph would: recall grows with the logarithm of ef, reaching all at 320.
// Users' queries find what rows find at a third of ef.
void FindByEf(double ef, std::vector<Neighbor>* answer) {
  const double recall = std::clamp(0.5 + 0.1 * std::log2(ef / 10), 0.0, 1.0);
  std::vector<Neighbor> kept;
  double credit = 0.5;
  for (const Neighbor& neighbor : *answer) {
    credit += recall;
    if (credit < 1) continue;
    credit -= 1;
    kept.push_back(neighbor);
  }
  *answer = std::move(kept);
}

TEST(RecallTuner, LearnsThatUsersQueriesAreHarder) {
  const SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7),
                           [](const SearchParams& params, std::vector<Neighbor>* answer) {
                             FindByEf(asked_by_a_user ? params.ef / 3.0 : params.ef, answer);
                           });
  RecallTuner tuner({}, EverySearch());
  EXPECT_EQ(tuner.EfFor(0.7, 10), 96u);
  EXPECT_EQ(tuner.EfFor(0.99, 10), 768u);
  EXPECT_FALSE(tuner.Expect(64, 10).has_value());
  ASSERT_TRUE(tuner.Calibrate(index, Never).ok());
  const uint32_t before = tuner.EfFor(0.8, 10);
  EXPECT_NEAR(before, 80, 25);
  for (uint64_t q = 0; q < 60; ++q) {
    Ask(index, &tuner, q, tuner.EfFor(0.8, 10));
    tuner.CheckSome(index, Never);
  }
  EXPECT_NEAR(tuner.live().correction(), 3, 1);
  const uint32_t after = tuner.EfFor(0.8, 10);
  EXPECT_GT(after, 2 * before);
  EXPECT_LE(after, 8 * before);
  EXPECT_NEAR(*tuner.Expect(after, 10), 0.8, 0.05);
  EXPECT_EQ(tuner.Report(after, 10).checked, 60u);
  tuner.Replaced();
  EXPECT_EQ(tuner.live().correction(), 1);
  EXPECT_EQ(tuner.Report(96, 10).checked, 0u);
}

TEST(RecallTuner, MeasuresWithUsersQueriesOnceThereAreEnough) {
  const auto index = FilledIndex(Kind::kFlat, 2'000, kDimension, 7);
  LiveCheckOptions options = EverySearch();
  options.recent = 50;
  RecallTuner tuner({}, options);
  for (uint64_t q = 0; q < 49; ++q) Ask(*index, &tuner, q);
  ASSERT_TRUE(tuner.Calibrate(*index, Never).ok());
  EXPECT_EQ(tuner.table()->queries(), 200u);
  EXPECT_FALSE(tuner.WantsCalibration(index->Stats()));
  Ask(*index, &tuner, 50);
  EXPECT_TRUE(tuner.WantsCalibration(index->Stats()));
  ASSERT_TRUE(tuner.Calibrate(*index, Never).ok());
  EXPECT_EQ(tuner.table()->queries(), 50u);
  EXPECT_FALSE(tuner.WantsCalibration(index->Stats()));
}

TEST(RecallTuner, RemembersItsCalibration) {
  const auto index = FilledIndex(Kind::kHnsw, 2'000, kDimension, 7);
  RecallTuner tuner, restored;
  EXPECT_EQ(tuner.Serialize(), "");
  ASSERT_TRUE(tuner.Calibrate(*index, Never).ok());
  std::string bytes = tuner.Serialize();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 0x10;
    EXPECT_TRUE(absl::IsDataLoss(restored.Restore(damaged))) << i;
    EXPECT_TRUE(absl::IsDataLoss(restored.Restore(bytes.substr(0, i)))) << i;
  }
  EXPECT_EQ(restored.table(), nullptr);
  ASSERT_TRUE(restored.Restore(bytes).ok());
  EXPECT_EQ(restored.Serialize(), bytes);
  EXPECT_EQ(restored.EfFor(0.97, 10), tuner.EfFor(0.97, 10));
  Ask(*index, &restored, 1);
  EXPECT_FALSE(restored.WantsCalibration(index->Stats()));
}

TEST(RecallTuner, CorrectionIsBounded) {
  const SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, kDimension, 7),
                           [](const SearchParams& params, std::vector<Neighbor>* answer) {
                             if (!asked_by_a_user) return FindByEf(params.ef, answer);
                             answer->clear();
                           });
  RecallTuner tuner({}, EverySearch());
  ASSERT_TRUE(tuner.Calibrate(index, Never).ok());
  for (uint64_t q = 0; q < 60; ++q) {
    Ask(index, &tuner, q, 100);
    tuner.CheckSome(index, Never);
  }
  EXPECT_LE(tuner.live().correction(), 8 + 1e-9);
  EXPECT_GT(tuner.live().correction(), 4);
}

TEST(RecallTuner, WantsCalibrationOnceAndAfterHalfHasChanged) {
  const auto index = FilledIndex(Kind::kFlat, 2'000, kDimension, 7);
  RecallTuner tuner;
  EXPECT_FALSE(tuner.WantsCalibration({.live = 2'000})) << "nobody has asked yet";
  Ask(*index, &tuner, 1);
  EXPECT_FALSE(tuner.WantsCalibration({.live = 999}));
  EXPECT_TRUE(tuner.WantsCalibration({.live = 2'000}));
  ASSERT_TRUE(tuner.Calibrate(*index, Never).ok());
  EXPECT_FALSE(tuner.WantsCalibration({.live = 2'000}));
  EXPECT_FALSE(tuner.WantsCalibration({.live = 2'999}));
  EXPECT_TRUE(tuner.WantsCalibration({.live = 3'000}));
  EXPECT_TRUE(tuner.WantsCalibration({.live = 2'000, .tombstones = 500})) << "half came and went";
  EXPECT_FALSE(tuner.WantsCalibration({.live = 1'700, .tombstones = 300}));
  EXPECT_TRUE(tuner.WantsCalibration({.live = 1'000, .tombstones = 1'000}));
  tuner.Replaced();
  EXPECT_TRUE(tuner.WantsCalibration({.live = 2'000}));
}

}  // namespace
}  // namespace larder::index
