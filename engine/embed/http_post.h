// One HTTP POST of JSON, by libcurl.
#ifndef LARDER_ENGINE_EMBED_HTTP_POST_H_
#define LARDER_ENGINE_EMBED_HTTP_POST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace larder {

struct HttpReply {
  int status = 0;
  std::string body;
  absl::Duration retry_after = absl::ZeroDuration();  // as the server asked; zero if it did not
};

// Unavailable if there was no answer within `timeout`, or more than 256 MiB of it. Any HTTP status is
// an answer. Follows no redirects: the key must not travel elsewhere. Thread-safe.
absl::StatusOr<HttpReply> HttpPost(const std::string& url, const std::string& body, const std::string& bearer_key,
                                   absl::Duration timeout);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_HTTP_POST_H_
