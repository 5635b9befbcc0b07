#include "index/recall/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "index/recall/recall_test_support.h"

namespace larder::index {
namespace {

bool Never() { return false; }

RecallTable TableOf(const std::vector<std::pair<uint32_t, double>>& points, uint32_t k = 10, double error = 0) {
  RecallCurve curve;
  curve.k = k;
  for (const auto& [ef, recall] : points) curve.points.push_back({ef, recall, error});
  return RecallTable({curve}, 200);
}

TEST(RecallTable, InterpolatesTheLogarithmOfEf) {
  const RecallTable table = TableOf({{10, 0.5}, {40, 0.9}});
  EXPECT_EQ(table.EfFor(0.7, 10), 20u);
  EXPECT_EQ(table.EfFor(0.9, 10), 40u);
  EXPECT_EQ(table.EfFor(0.1, 10), 10u) << "never below k";
  EXPECT_EQ(table.EfFor(0.95, 10), 80u) << "twice the last where no point reaches it";
  EXPECT_NEAR(table.At(20, 10).recall, 0.7, 1e-9);
  EXPECT_NEAR(table.At(5, 10).recall, 0.3, 1e-9) << "goes on below the first point";
  EXPECT_NEAR(table.At(1000, 10).recall, 0.9, 1e-9);
}

TEST(RecallTable, AddsOneStandardError) {
  EXPECT_EQ(TableOf({{10, 0.5}, {40, 0.9}}, 10, 0.1).EfFor(0.6, 10), 20u);
}

TEST(RecallTable, IsMonotone) {
  const RecallTable table = TableOf({{10, 0.6}, {16, 0.9}, {24, 0.8}, {32, 0.7}, {48, 0.95}});
  double last = 0;
  for (const RecallPoint& point : table.curves()[0].points) {
    EXPECT_GE(point.recall, last);
    last = point.recall;
  }
  EXPECT_NEAR(table.curves()[0].points[1].recall, 0.8, 1e-9);
}

TEST(RecallTable, LiesBetweenTheCurvesOfTwoK) {
  const RecallTable table({{10, {{10, 0.5, 0}, {40, 0.9, 0}}}, {100, {{100, 0.5, 0}, {400, 0.9, 0}}}}, 200);
  EXPECT_EQ(table.EfFor(0.9, 10), 40u);
  EXPECT_EQ(table.EfFor(0.9, 100), 400u);
  EXPECT_NEAR(table.EfFor(0.9, 32), 128, 2);
  EXPECT_EQ(table.EfFor(0.9, 200), 800u) << "in proportion to k";
  EXPECT_EQ(table.EfFor(0.9, 10'000), 10'000u);
  EXPECT_NEAR(table.At(128, 32).recall, 0.9, 1e-3);
  EXPECT_EQ(table.EfFor(0.7, 1), 20u) << "as for the smallest k";
}

TEST(RecallTable, SurvivesBytes) {
  const RecallTable table({{10, {{10, 0.5, 0.1}, {40, 0.9, 0}}}, {100, {{100, 0.5, 0}}}}, 77);
  const std::string bytes = table.Serialize();
  const auto read = RecallTable::Deserialize(bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->Serialize(), bytes);
  EXPECT_EQ(read->queries(), 77u);
  for (size_t end = 0; end < bytes.size(); ++end) {
    EXPECT_TRUE(absl::IsDataLoss(RecallTable::Deserialize(bytes.substr(0, end)).status())) << end;
  }
}

TEST(RecallOf, CountsTiesAsFound) {
  const std::vector<Neighbor> exact = {{1, 0.1f}, {2, 0.2f}, {3, 0.2f}};
  EXPECT_EQ(RecallOf({{1, 0.1f}, {2, 0.2f}, {9, 0.2f}}, exact), 1);
  EXPECT_NEAR(RecallOf({{1, 0.1f}, {9, 0.3f}}, exact), 1 / 3.0, 1e-9);
  EXPECT_EQ(RecallOf({}, {}), 1);
}

double MeasuredRecall(const VectorIndex& index, uint32_t ef, uint32_t k, size_t count, uint32_t dimension) {
  const std::vector<float> queries = ClusteredVectors(count, dimension, 1234);
  const ExactScan scan(index);
  double sum = 0;
  for (size_t q = 0; q < count; ++q) {
    const auto query = absl::MakeSpan(queries).subspan(q * dimension, dimension);
    sum += RecallOf(*index.Search(query, {.k = k, .ef = ef}), *scan.Nearest(query, k, Never));
  }
  return sum / static_cast<double>(count);
}

TEST(Calibration, EfReachesItsTargetOnAGraph) {
  constexpr uint32_t kDimension = 48;
  const auto index = FilledIndex(Kind::kHnsw, 8'000, kDimension, 7);
  const auto calibration = Calibrate(*index, {}, Never);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  uint32_t last_ef = 0;
  for (double target : {0.8, 0.9, 0.95, 0.99}) {
    for (uint32_t k : {10u, 30u}) {
      const uint32_t ef = calibration->table.EfFor(target, k);
      const double recall = MeasuredRecall(*index, ef, k, 300, kDimension);
      EXPECT_GE(recall, target - 0.015) << "target " << target << ", k " << k << ", ef " << ef;
      EXPECT_NEAR(calibration->table.At(ef, k).recall, recall, 0.03) << "k " << k << ", ef " << ef;
      if (k != 10) continue;
      EXPECT_GE(ef, last_ef);
      last_ef = ef;
    }
  }
  EXPECT_GT(last_ef, calibration->table.EfFor(0.8, 10));
}

TEST(Calibration, IsTheSameForTheSameSeed) {
  const auto index = FilledIndex(Kind::kHnsw, 2'000, 16, 7);
  CalibrationOptions options;
  const auto first = Calibrate(*index, options, Never), second = Calibrate(*index, options, Never);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->table.Serialize(), second->table.Serialize());
  EXPECT_EQ(first->table.queries(), 200u);
}

TEST(Calibration, LeavesTheQueryOutAndSeesWhatIsMissing) {
  const SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, 16, 7), DropEveryFifth);
  const auto calibration = Calibrate(index, {}, Never);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  // Of 11 answers 2 are left out, and itself does not count: 8 of 10.
  for (const RecallPoint& point : calibration->table.curves()[0].points) EXPECT_NEAR(point.recall, 0.8, 0.01);
}

TEST(Calibration, MeasuresLiveRowsOnly) {
  const auto index = FilledIndex(Kind::kHnsw, 3'000, 16, 7);
  std::vector<Vid> removed;
  for (Vid vid = 1; vid <= 3'000; vid += 2) removed.push_back(vid);
  index->Remove(removed);
  const auto calibration = Calibrate(*index, {}, Never);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_GE(calibration->table.curves()[0].points.back().recall, 0.99);
}

TEST(Calibration, EndsWhenItsTimeIsUp) {
  SpoiledIndex index(FilledIndex(Kind::kFlat, 2'000, 16, 7), [](const SearchParams&, std::vector<Neighbor>*) {});
  int64_t now = 0;
  index.on_score = [&] { now += 1'000'000'000; };
  CalibrationOptions options;
  options.clock = [&] { return now; };
  options.exact_budget = absl::Seconds(50);
  auto calibration = Calibrate(index, options, Never);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_EQ(calibration->table.queries(), 51u);
  EXPECT_EQ(calibration->scan_ns, 1'000'000'000);
  options.exact_budget = absl::Seconds(1);
  calibration = Calibrate(index, options, Never);
  EXPECT_EQ(calibration->table.queries(), options.least_queries);
}

TEST(Calibration, CanBeStoppedAndWantsRows) {
  const auto index = FilledIndex(Kind::kHnsw, 1'000, 16, 7);
  int asked = 0;
  EXPECT_TRUE(absl::IsCancelled(Calibrate(*index, {}, [&] { return ++asked > 300; }).status()));
  EXPECT_EQ(asked, 301);
  const auto small = FilledIndex(Kind::kHnsw, 150, 16, 7);
  EXPECT_TRUE(absl::IsFailedPrecondition(Calibrate(*small, {}, Never).status()));
}

}  // namespace
}  // namespace larder::index
