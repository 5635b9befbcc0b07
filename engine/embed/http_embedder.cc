#include "engine/embed/http_embedder.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/embed/bert_words.h"
#include "engine/embed/embeddings_json.h"
#include "engine/embed/http_client.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// 65,536 numbers of 32 characters; what surrounds the rows; the most for one reply.
constexpr uint64_t kMaxRowBytes = 2 << 20;
constexpr uint64_t kEnvelopeBytes = 64 << 10;
constexpr uint64_t kMaxReplyBytes = 512ull << 20;
constexpr size_t kQuotedBytes = 200;

class HttpEmbedder : public Embedder {
 public:
  HttpEmbedder(HttpEmbedderOptions options, std::string key, RetryPolicy policy)
      : options_(std::move(options)), key_(std::move(key)), policy_(std::move(policy)) {}

  uint32_t dimension() const override { return dimension_.load(); }
  uint32_t max_tokens() const override { return 0; }
  // The service may move, so the URL is no part of it.
  std::string fingerprint() const override { return absl::StrCat("http:model=", options_.model); }
  uint32_t CountTokens(absl::string_view text) const override { return ApproximateTokens(text); }

  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts) const override {
    std::vector<float> vectors;
    for (size_t at = 0; at < texts.size(); at += options_.batch) {
      const auto batch = texts.subspan(at, options_.batch);
      ASSIGN_OR_RETURN(const Embeddings embeddings, EmbedBatch(batch));
      vectors.insert(vectors.end(), embeddings.rows.begin(), embeddings.rows.end());
    }
    return vectors;
  }

 private:
  absl::StatusOr<Embeddings> EmbedBatch(absl::Span<const std::string> texts) const {
    HttpRequest request{options_.url, {"Content-Type: application/json"}, {}, options_.timeout, 0};
    if (!key_.empty()) request.headers.push_back(absl::StrCat("Authorization: Bearer ", key_));
    request.body = EmbeddingsRequest(options_.model, texts);
    request.max_reply_bytes = std::min(kEnvelopeBytes + texts.size() * kMaxRowBytes, kMaxReplyBytes);
    for (uint32_t attempt = 1;; ++attempt) {
      const absl::StatusOr<HttpReply> reply = client_.Post(request);
      if (reply.ok() && reply->status == 200) return Accept(*reply, texts.size());
      const bool retryable =
          reply.ok() ? IsRetryableHttpStatus(reply->status) : absl::IsUnavailable(reply.status());
      if (!retryable || attempt >= policy_.max_attempts) return Failure(reply, attempt);
      policy_.sleep(RetryDelay(policy_, attempt, reply.ok() ? reply->retry_after : absl::ZeroDuration()));
    }
  }

  absl::StatusOr<Embeddings> Accept(const HttpReply& reply, size_t count) const {
    auto embeddings = ParseEmbeddings(reply.body, count);
    if (!embeddings.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(Where(), embeddings.status().message(), "; HTTP 200: ", Quote(reply.body)));
    }
    uint32_t known = 0;
    if (!dimension_.compare_exchange_strong(known, embeddings->dimension) && known != embeddings->dimension) {
      return absl::FailedPreconditionError(
          absl::StrCat(Where(), "answered dimension ", embeddings->dimension, ", before it was ", known));
    }
    return embeddings;
  }

  absl::Status Failure(const absl::StatusOr<HttpReply>& reply, uint32_t attempts) const {
    const std::string tries = attempts == 1 ? "" : absl::StrCat(" (", attempts, " attempts)");
    if (!reply.ok()) {
      return absl::Status(reply.status().code(),
                          absl::StrCat(Where(), Redact(std::string(reply.status().message())), tries));
    }
    const std::string message =
        absl::StrCat(Where(), "HTTP ", reply->status, tries, ": ", Quote(reply->body));
    if (reply->status == 429) return absl::ResourceExhaustedError(message);
    if (IsRetryableHttpStatus(reply->status)) return absl::UnavailableError(message);
    return absl::FailedPreconditionError(message);
  }

  // Without the query, which may hold a secret.
  std::string Where() const {
    return absl::StrCat("embedding service ", options_.url.substr(0, options_.url.find_first_of("?#")), ": ");
  }

  std::string Redact(const std::string& text) const {
    return key_.empty() ? text : absl::StrReplaceAll(text, {{key_, "[key]"}});
  }

  // The beginning of a body. The key goes before the cut, so that no part of it is left at the end.
  std::string Quote(const std::string& body) const {
    return absl::CHexEscape(Redact(body).substr(0, kQuotedBytes));
  }

  const HttpEmbedderOptions options_;
  const std::string key_;
  const RetryPolicy policy_;
  mutable HttpClient client_;
  mutable std::atomic<uint32_t> dimension_{0};
};

absl::StatusOr<std::string> ReadKey(const std::string& variable) {
  if (variable.empty()) return std::string();
  const char* key = std::getenv(variable.c_str());
  if (key == nullptr || *key == '\0') {
    return absl::FailedPreconditionError(
        absl::StrCat("api_key_env: the environment variable ", variable, " is not set"));
  }
  for (const char* c = key; *c != '\0'; ++c) {
    if (static_cast<unsigned char>(*c) <= ' ' || *c == 0x7f) {
      return absl::InvalidArgumentError(
          absl::StrCat("api_key_env: ", variable, " holds a space or control character"));
    }
  }
  return std::string(key);
}

}  // namespace

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedderWith(const HttpEmbedderOptions& options,
                                                               RetryPolicy policy) {
  RETURN_IF_ERROR(CheckHttpUrl(options.url));
  if (options.model.empty()) return absl::InvalidArgumentError("model: expected a name, found \"\"");
  if (options.batch == 0 || policy.max_attempts == 0 || options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("batch, max_attempts and timeout must be positive");
  }
  ASSIGN_OR_RETURN(std::string key, ReadKey(options.api_key_env));
  return std::make_shared<HttpEmbedder>(options, std::move(key), std::move(policy));
}

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedder(const HttpEmbedderOptions& options) {
  return OpenHttpEmbedderWith(options, RetryPolicy::Default(options.max_attempts));
}

}  // namespace larder
