// When to try again: exponential backoff with jitter.
#ifndef LARDER_ENGINE_EMBED_RETRY_H_
#define LARDER_ENGINE_EMBED_RETRY_H_

#include <cstdint>
#include <functional>

#include "absl/time/time.h"

namespace larder {

struct RetryPolicy {
  uint32_t max_attempts = 4;
  absl::Duration first_delay = absl::Milliseconds(500);  // doubles with each attempt
  absl::Duration max_delay = absl::Seconds(8);
  absl::Duration max_retry_after = absl::Seconds(60);  // a server that asks for more gets this
  std::function<void(absl::Duration)> sleep;           // both must be safe to call from many threads
  std::function<double()> random;                      // [0, 1)

  static RetryPolicy Default(uint32_t max_attempts);  // sleeps, and draws from a per-thread generator
};

// Before the attempt after `attempt` (1, 2, ...): half to all of the backoff, by chance, so that
// clients that failed together do not return together; at least what the server asked for.
absl::Duration RetryDelay(const RetryPolicy& policy, uint32_t attempt, absl::Duration retry_after);

bool IsRetryableHttpStatus(int64_t status);  // 408, 429, 5xx

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_RETRY_H_
