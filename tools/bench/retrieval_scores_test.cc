#include "tools/bench/retrieval_scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace larder::tools {
namespace {

const Gains kGains = {{"a", 3}, {"b", 1}, {"c", 0}};

TEST(RetrievalScores, OfAPerfectRanking) {
  const std::vector<std::string> ranked = {"a", "b", "c"};
  EXPECT_DOUBLE_EQ(RecallAt(ranked, kGains, 10), 1);
  EXPECT_DOUBLE_EQ(NdcgAt(ranked, kGains, 10), 1);
  EXPECT_DOUBLE_EQ(ReciprocalRankAt(ranked, kGains, 10), 1);
}

TEST(RetrievalScores, OfAWorseOne) {
  const std::vector<std::string> ranked = {"x", "b", "c", "a"};
  EXPECT_DOUBLE_EQ(RecallAt(ranked, kGains, 3), 0.5);
  EXPECT_DOUBLE_EQ(ReciprocalRankAt(ranked, kGains, 3), 0.5);
  const double ideal = 3 + 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(NdcgAt(ranked, kGains, 10), (1 / std::log2(3.0) + 3 / std::log2(5.0)) / ideal);
}

TEST(RetrievalScores, OfNothing) {
  EXPECT_EQ(RecallAt({}, kGains, 10), 0);
  EXPECT_EQ(NdcgAt({"a"}, {}, 10), 0);
  EXPECT_EQ(ReciprocalRankAt({"x"}, kGains, 10), 0);
}

}  // namespace
}  // namespace larder::tools
