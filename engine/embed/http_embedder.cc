#include "engine/embed/http_embedder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/embed/bert_words.h"
#include "engine/embed/http_post.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr absl::Duration kFirstWait = absl::Milliseconds(200);
constexpr absl::Duration kLongestWait = absl::Seconds(30);

bool WorthRetrying(int status) { return status == 408 || status == 429 || status >= 500; }

absl::Status ToStatus(const std::string& url, const HttpReply& reply) {
  const std::string message =
      absl::StrCat(url, ": HTTP ", reply.status, ": ", absl::string_view(reply.body).substr(0, 200));
  if (reply.status == 429) return absl::ResourceExhaustedError(message);
  if (reply.status == 401 || reply.status == 403) return absl::PermissionDeniedError(message);
  if (WorthRetrying(reply.status)) return absl::UnavailableError(message);
  return absl::FailedPreconditionError(message);
}

class HttpEmbedder : public Embedder {
 public:
  HttpEmbedder(HttpEmbedderOptions options, std::string key, Sleeper sleep)
      : options_(std::move(options)), key_(std::move(key)), sleep_(std::move(sleep)) {}

  uint32_t dimension() const override { return dimension_; }
  uint32_t max_tokens() const override { return 0; }
  std::string fingerprint() const override { return absl::StrCat("http:", options_.url, "#", options_.model); }
  uint32_t CountTokens(absl::string_view text) const override { return ApproximateTokens(text); }

  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts) const override {
    std::vector<float> all;
    for (size_t at = 0; at < texts.size(); at += options_.batch) {
      const auto batch = texts.subspan(at, options_.batch);
      ASSIGN_OR_RETURN(const std::string body, Ask(EmbeddingsRequest(options_.model, batch)));
      auto rows = ParseEmbeddings(body, batch.size());
      if (!rows.ok()) return absl::Status(rows.status().code(), absl::StrCat(options_.url, ": ", rows.status().message()));
      RETURN_IF_ERROR(Learn(rows->dimension));
      all.insert(all.end(), rows->values.begin(), rows->values.end());
    }
    return all;
  }

 private:
  // The body of a good answer, after as many attempts as allowed.
  absl::StatusOr<std::string> Ask(const std::string& request) const {
    absl::Status failure;
    absl::Duration wait = kFirstWait;
    for (uint32_t attempt = 1;; ++attempt) {
      absl::StatusOr<HttpReply> reply = HttpPost(options_.url, request, key_, options_.timeout);
      if (reply.ok() && reply->status == 200) return std::move(reply->body);
      failure = reply.ok() ? ToStatus(options_.url, *reply) : reply.status();
      if (reply.ok() && !WorthRetrying(reply->status)) return failure;
      if (attempt == options_.max_attempts) {
        return absl::Status(failure.code(), absl::StrCat(failure.message(), " (after ", attempt, " attempts)"));
      }
      const absl::Duration asked = reply.ok() ? reply->retry_after : absl::ZeroDuration();
      // Jitter keeps many clients from coming back at once.
      thread_local absl::BitGen random;
      sleep_(std::min(kLongestWait, std::max(asked, wait * absl::Uniform(random, 0.5, 1.0))));
      wait *= 2;
    }
  }

  absl::Status Learn(size_t found) const {
    uint32_t expected = 0;
    if (dimension_.compare_exchange_strong(expected, static_cast<uint32_t>(found)) || expected == found) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrCat(options_.url, ": vectors of dimension ", found, ", before it was ", expected));
  }

  const HttpEmbedderOptions options_;
  const std::string key_;
  const Sleeper sleep_;
  mutable std::atomic<uint32_t> dimension_{0};
};

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("answer of the embedding service: ", what));
}

absl::Status TakeRow(const nlohmann::json& item, size_t count, EmbeddingRows* rows, std::vector<bool>* seen) {
  if (!item.is_object() || !item.contains("index") || !item["index"].is_number_unsigned() ||
      !item.contains("embedding") || !item["embedding"].is_array()) {
    return Malformed("an element of \"data\" without index and embedding");
  }
  const uint64_t index = item["index"].get<uint64_t>();
  if (index >= count || (*seen)[index]) return Malformed(absl::StrCat("index ", index, " is too large or stands twice"));
  (*seen)[index] = true;
  const nlohmann::json& values = item["embedding"];
  if (rows->dimension == 0) {
    rows->dimension = values.size();
    rows->values.resize(count * rows->dimension);
  }
  if (values.empty() || values.size() > 65'536 || values.size() != rows->dimension) {
    return Malformed(absl::StrCat("vector ", index, " has dimension ", values.size(), ", expected ", rows->dimension));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = values[i].is_number() ? values[i].get<float>() : std::nanf("");
    if (!std::isfinite(value)) return Malformed(absl::StrCat("vector ", index, ", value ", i, " is no finite number"));
    rows->values[index * rows->dimension + i] = value;
  }
  return absl::OkStatus();
}

}  // namespace

std::string EmbeddingsRequest(const std::string& model, absl::Span<const std::string> texts) {
  nlohmann::json request = {{"model", model}, {"encoding_format", "float"}};
  request["input"] = std::vector<std::string>(texts.begin(), texts.end());
  return request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<EmbeddingRows> ParseEmbeddings(absl::string_view body, size_t count) {
  const auto json = nlohmann::json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("data") || !json["data"].is_array()) {
    return Malformed(absl::StrCat("expected {\"data\": [...]}, found ", body.substr(0, 200)));
  }
  if (json["data"].size() != count) {
    return Malformed(absl::StrCat(json["data"].size(), " vectors, expected ", count));
  }
  EmbeddingRows rows;
  std::vector<bool> seen(count);
  for (const nlohmann::json& item : json["data"]) RETURN_IF_ERROR(TakeRow(item, count, &rows, &seen));
  return rows;
}

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedderWith(const HttpEmbedderOptions& options, Sleeper sleep) {
  RETURN_IF_ERROR(options.Validate());
  std::string key;
  if (!options.api_key_env.empty()) {
    const char* value = std::getenv(options.api_key_env.c_str());
    if (value == nullptr || *value == '\0') {
      return absl::FailedPreconditionError(
          absl::StrCat("http embedder: the environment variable ", options.api_key_env, " is not set"));
    }
    key = value;
  }
  return std::make_shared<HttpEmbedder>(options, std::move(key), std::move(sleep));
}

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedder(const HttpEmbedderOptions& options) {
  return OpenHttpEmbedderWith(options, [](absl::Duration wait) { absl::SleepFor(wait); });
}

}  // namespace larder
