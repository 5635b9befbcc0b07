// HTTP POST by libcurl, with what a caller needs in order to retry.
#ifndef LARDER_ENGINE_EMBED_HTTP_CLIENT_H_
#define LARDER_ENGINE_EMBED_HTTP_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace larder {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  absl::Duration timeout = absl::Seconds(30);  // of the whole exchange
  uint64_t max_reply_bytes = 0;
};

struct HttpReply {
  int64_t status = 0;
  std::string body;
  absl::Duration retry_after = absl::ZeroDuration();  // what the server asked for, 0 = nothing
};

// InvalidArgument unless `url` is http or https, names a host and carries no user or password.
absl::Status CheckHttpUrl(const std::string& url);

// Thread-safe: one libcurl handle for each call that is under way, kept for its connection.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is a reply; redirects are not followed. Unavailable if the exchange failed or timed
  // out (another attempt may succeed); ResourceExhausted if the reply is longer than allowed;
  // FailedPrecondition if the server's certificate is not trusted; Internal if libcurl cannot start.
  absl::StatusOr<HttpReply> Post(const HttpRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Handle;
  std::unique_ptr<Handle> Take() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_HTTP_CLIENT_H_
