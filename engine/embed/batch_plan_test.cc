#include "engine/embed/batch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PlanBatches, Nothing) { EXPECT_THAT(PlanBatches({}, 256), IsEmpty()); }

TEST(PlanBatches, OneRoundedLengthInPowersOfTwoWithinTheLimit) {
  const std::vector<Batch> batches = PlanBatches({9, 300, 16, 20, 10, 11, 12, 13, 14}, 64);
  ASSERT_EQ(batches.size(), 5);
  EXPECT_EQ(batches[0].length, 304);  // over the limit, alone
  EXPECT_THAT(batches[0].rows, ElementsAre(1));
  EXPECT_EQ(batches[1].length, 24);
  EXPECT_THAT(batches[1].rows, ElementsAre(3));
  EXPECT_EQ(batches[2].length, 16);
  EXPECT_THAT(batches[2].rows, ElementsAre(0, 2, 4, 5));  // 4 x 16 is the limit
  EXPECT_THAT(batches[3].rows, ElementsAre(6, 7));
  EXPECT_THAT(batches[4].rows, ElementsAre(8));
}

TEST(PlanBatches, CoversEveryTextOnce) {
  std::vector<size_t> lengths;
  for (size_t i = 0; i < 1000; ++i) lengths.push_back(2 + i * i % 255);
  std::vector<int> seen(lengths.size());
  for (const Batch& batch : PlanBatches(lengths, 256)) {
    EXPECT_EQ(batch.rows.size() & (batch.rows.size() - 1), 0);
    EXPECT_TRUE(batch.rows.size() == 1 || batch.rows.size() * batch.length <= 256);
    EXPECT_EQ(batch.length % kLengthStep, 0);
    for (size_t row : batch.rows) {
      EXPECT_LE(lengths[row], batch.length);
      EXPECT_GT(lengths[row] + kLengthStep, batch.length);
      ++seen[row];
    }
  }
  EXPECT_THAT(seen, ::testing::Each(1));
}

}  // namespace
}  // namespace larder
