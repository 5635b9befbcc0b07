#include "engine/embed/retry.h"

#include <algorithm>
#include <random>

#include "absl/time/clock.h"

namespace larder {

RetryPolicy RetryPolicy::Default(uint32_t max_attempts) {
  RetryPolicy policy;
  policy.max_attempts = max_attempts;
  policy.sleep = [](absl::Duration delay) { absl::SleepFor(delay); };
  policy.random = [] {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(generator);
  };
  return policy;
}

absl::Duration RetryDelay(const RetryPolicy& policy, uint32_t attempt, absl::Duration retry_after) {
  absl::Duration backoff = policy.first_delay;
  for (uint32_t i = 1; i < attempt && backoff < policy.max_delay; ++i) backoff *= 2;
  backoff = std::min(backoff, policy.max_delay) * (0.5 + 0.5 * policy.random());
  return std::max(backoff, std::min(retry_after, policy.max_retry_after));
}

bool IsRetryableHttpStatus(int64_t status) {
  return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

}  // namespace larder
