#include "engine/embed/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kMaxIdle = 16;

bool InitCurl() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

struct Sink {
  std::string body;
  uint64_t limit = 0;
  bool overflowed = false;
};

size_t Receive(char* data, size_t size, size_t count, void* to) {
  Sink* sink = static_cast<Sink*>(to);
  const size_t bytes = size * count;
  if (bytes > sink->limit - sink->body.size()) {
    sink->overflowed = true;
    return 0;  // ends the transfer
  }
  sink->body.append(data, bytes);
  return bytes;
}

// nullptr if out of memory; `list` is freed then.
curl_slist* Append(curl_slist* list, const std::string& header) {
  curl_slist* longer = curl_slist_append(list, header.c_str());
  if (longer == nullptr) curl_slist_free_all(list);
  return longer;
}

void SetOptions(CURL* curl, const HttpRequest& request, curl_slist* headers, Sink* sink, char* detail) {
  curl_easy_reset(curl);  // keeps the connection
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(request.timeout))));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Receive);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
}

absl::Status TransferError(CURLcode code, const Sink& sink, const char* detail) {
  if (sink.overflowed) {
    return absl::ResourceExhaustedError(absl::StrCat("reply is longer than ", sink.limit, " bytes"));
  }
  const std::string message = absl::StrCat(curl_easy_strerror(code), *detail == '\0' ? "" : ": ", detail);
  if (code == CURLE_PEER_FAILED_VERIFICATION) return absl::FailedPreconditionError(message);
  return absl::UnavailableError(message);
}

}  // namespace

struct HttpClient::Handle {
  Handle() : curl(curl_easy_init()) {}
  ~Handle() { curl_easy_cleanup(curl); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  CURL* const curl;
};

HttpClient::HttpClient() = default;
HttpClient::~HttpClient() = default;

absl::Status CheckHttpUrl(const std::string& url) {
  CURLU* parsed = curl_url();
  if (parsed == nullptr) return absl::ResourceExhaustedError("out of memory");
  absl::Cleanup clean = [parsed] { curl_url_cleanup(parsed); };
  const CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0);
  if (code != CURLUE_OK) return absl::InvalidArgumentError(absl::StrCat("url: ", curl_url_strerror(code)));
  char* part = nullptr;
  if (curl_url_get(parsed, CURLUPART_USER, &part, 0) == CURLUE_OK ||
      curl_url_get(parsed, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK) {
    curl_free(part);
    return absl::InvalidArgumentError("url: has a user or password in it; use api_key_env");
  }
  if (curl_url_get(parsed, CURLUPART_SCHEME, &part, 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("url: has no scheme");
  }
  const std::string scheme = part;
  curl_free(part);
  if (scheme == "http" || scheme == "https") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("url: expected http or https, found ", scheme));
}

std::unique_ptr<HttpClient::Handle> HttpClient::Take() {
  absl::MutexLock lock(&mutex_);
  if (idle_.empty()) return std::make_unique<Handle>();
  std::unique_ptr<Handle> handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

absl::StatusOr<HttpReply> HttpClient::Post(const HttpRequest& request) {
  if (!InitCurl()) return absl::InternalError("libcurl cannot start");
  std::unique_ptr<Handle> handle = Take();
  CURL* const curl = handle->curl;
  if (curl == nullptr) return absl::InternalError("libcurl gives no handle");
  curl_slist* headers = Append(nullptr, "Expect:");  // no round trip before the body
  for (size_t i = 0; i < request.headers.size() && headers != nullptr; ++i) {
    headers = Append(headers, request.headers[i]);
  }
  if (headers == nullptr) return absl::ResourceExhaustedError("out of memory");
  absl::Cleanup free_headers = [headers] { curl_slist_free_all(headers); };
  Sink sink;
  sink.limit = request.max_reply_bytes;
  char detail[CURL_ERROR_SIZE] = "";
  SetOptions(curl, request, headers, &sink, detail);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) return TransferError(code, sink, detail);
  HttpReply reply;
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
  reply.status = status;
  reply.retry_after = absl::Seconds(std::max<curl_off_t>(0, retry_after));
  reply.body = std::move(sink.body);
  absl::MutexLock lock(&mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(handle));
  return reply;
}

}  // namespace larder
