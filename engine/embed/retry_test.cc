#include "engine/embed/retry.h"

#include <gtest/gtest.h>

namespace larder {
namespace {

TEST(RetryDelay, DoublesUpToALimitWithJitter) {
  RetryPolicy policy = RetryPolicy::Default(4);
  struct Case {
    double random;
    uint32_t attempt;
    int64_t milliseconds;
  } cases[] = {{0, 1, 250},
               {1, 1, 500},
               {1, 2, 1000},
               {0, 3, 1000},
               {1, 5, 8000},
               {1, 6, 8000},
               {0.5, 4000000000u, 6000}};
  for (const Case& c : cases) {
    policy.random = [&c] { return c.random; };
    EXPECT_EQ(RetryDelay(policy, c.attempt, absl::ZeroDuration()), absl::Milliseconds(c.milliseconds));
  }
}

TEST(RetryDelay, HonoursTheServerWithinALimit) {
  RetryPolicy policy = RetryPolicy::Default(4);
  policy.random = [] { return 1.0; };
  EXPECT_EQ(RetryDelay(policy, 2, absl::Milliseconds(100)), absl::Seconds(1));
  EXPECT_EQ(RetryDelay(policy, 1, absl::Seconds(7)), absl::Seconds(7));
  EXPECT_EQ(RetryDelay(policy, 1, absl::Hours(9)), absl::Seconds(60));
}

TEST(RetryPolicy, DrawsWithinRange) {
  const RetryPolicy policy = RetryPolicy::Default(4);
  for (int i = 0; i < 1000; ++i) {
    const double drawn = policy.random();
    EXPECT_GE(drawn, 0);
    EXPECT_LT(drawn, 1);
  }
}

TEST(IsRetryableHttpStatus, Table) {
  for (int64_t status : {408, 429, 500, 502, 503, 504, 599}) EXPECT_TRUE(IsRetryableHttpStatus(status));
  for (int64_t status : {200, 301, 400, 401, 403, 404, 413, 422, 600}) {
    EXPECT_FALSE(IsRetryableHttpStatus(status)) << status;
  }
}

}  // namespace
}  // namespace larder
