#include "index/recall/filtered_check.h"

#include <gtest/gtest.h>

#include "index/test_vectors.h"

namespace larder::index {
namespace {

class FilteredCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    index_ = *CreateIndex({.kind = Kind::kFlat, .dimension = 1, .metric = Metric::kL2});
    for (Vid vid = 0; vid < 100; ++vid) ASSERT_TRUE(index_->Add({vid}, {static_cast<float>(vid)}).ok());
    matches_.AddRange(0, 50);
  }
  FilteredCheckOptions Options() {
    FilteredCheckOptions options;
    options.sample_every = 1;
    options.least_checks = 2;
    options.clock = [this] { return now_ += 10; };
    return options;
  }
  // The true answer to 20.2 is 20, 21.
  void Offer(FilteredCheck* check, std::vector<Neighbor> answer, int64_t took) {
    const std::vector<float> query = {20.2f};
    check->Offer({query, 2, answer, &matches_, 100, took});
  }

  int64_t now_ = 0;
  std::unique_ptr<VectorIndex> index_;
  VidSet matches_;
};

TEST_F(FilteredCheckTest, SaysWhatSearchesFound) {
  FilteredCheck check(Options());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(check.Expect(50, 100), std::nullopt);
    Offer(&check, {{20, 0.04f}, {19, 1.44f}}, 1'000'000);
    EXPECT_TRUE(check.CheckOne(*index_));
  }
  EXPECT_NEAR(*check.Expect(50, 100), 0.5, 1e-9);
  EXPECT_EQ(check.Expect(5, 100), std::nullopt);  // another share
  check.Forget();
  EXPECT_EQ(check.Expect(50, 100), std::nullopt);
}

TEST_F(FilteredCheckTest, SpendsItsShareOnly) {
  FilteredCheck check(Options());
  Offer(&check, {{20, 0.04f}, {21, 0.64f}}, 100);  // earns 1 ns; a check takes 10
  EXPECT_TRUE(check.CheckOne(*index_));
  Offer(&check, {{20, 0.04f}, {21, 0.64f}}, 100);
  EXPECT_FALSE(check.CheckOne(*index_));
  Offer(&check, {{20, 0.04f}, {21, 0.64f}}, 10'000);
  EXPECT_TRUE(check.CheckOne(*index_));
  EXPECT_NEAR(*check.Expect(50, 100), 1, 1e-9);
}

TEST_F(FilteredCheckTest, RemovedHitsCountNeitherWay) {
  FilteredCheck check(Options());
  for (int i = 0; i < 2; ++i) Offer(&check, {{20, 0.04f}, {21, 0.64f}}, 1'000'000);
  index_->Remove({21});
  while (check.CheckOne(*index_)) {
  }
  EXPECT_NEAR(*check.Expect(50, 100), 1, 1e-9);
}

}  // namespace
}  // namespace larder::index
