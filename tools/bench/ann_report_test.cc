#include "tools/bench/ann_report.h"

#include <gtest/gtest.h>

namespace larder::tools {
namespace {

AnnFigures At(const std::string& index, double recall, double qps, double build_s = 1) {
  AnnFigures figures;
  figures.index = index;
  figures.recall = recall;
  figures.qps = qps;
  figures.build_s = build_s;
  return figures;
}

TEST(QpsAtRecall, InterpolatesBetweenSettings) {
  const std::vector<AnnFigures> figures = {At("a", 0.98, 100), At("a", 0.90, 400), At("b", 0.93, 70)};
  EXPECT_DOUBLE_EQ(QpsAtRecall(figures, "a", 0.90), 400);
  EXPECT_NEAR(QpsAtRecall(figures, "a", 0.94), 200, 1e-9);
  EXPECT_DOUBLE_EQ(QpsAtRecall(figures, "a", 0.50), 400);
  EXPECT_DOUBLE_EQ(QpsAtRecall(figures, "a", 0.99), 0) << "not reached";
  EXPECT_DOUBLE_EQ(QpsAtRecall(figures, "c", 0.90), 0);
}

TEST(ComparisonJson, LeavesOutWhatIsNotReached) {
  const std::vector<AnnFigures> figures = {At("a", 0.96, 300, 2), At("b", 0.96, 100, 4)};
  EXPECT_EQ(ComparisonJson(figures, "a", "b"),
            R"({"summary":"a against b","ratio_qps_090":3.0,"ratio_qps_095":3.0,"ratio_build":0.5})");
}

TEST(Quantile, OfFewValues) {
  EXPECT_EQ(Quantile({}, 0.5), 0);
  EXPECT_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Quantile({3, 1, 2}, 0.99), 3);
}

}  // namespace
}  // namespace larder::tools
