#include "engine/embed/http_post.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kMaxBodyBytes = size_t{256} << 20;

size_t TakeBody(char* data, size_t size, size_t count, void* reply) {
  std::string& body = static_cast<HttpReply*>(reply)->body;
  if (body.size() + size * count > kMaxBodyBytes) return 0;  // ends the transfer with an error
  body.append(data, size * count);
  return size * count;
}

template <typename T>
void Set(CURL* curl, CURLoption option, T value) {
  curl_easy_setopt(curl, option, value);
}

void SetUp(CURL* curl, const std::string& url, const std::string& body, curl_slist* headers,
           absl::Duration timeout, HttpReply* reply, char* error) {
  Set(curl, CURLOPT_URL, url.c_str());
  Set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(curl, CURLOPT_FOLLOWLOCATION, 0L);
  Set(curl, CURLOPT_NOSIGNAL, 1L);
  Set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  Set(curl, CURLOPT_POSTFIELDS, body.c_str());
  Set(curl, CURLOPT_HTTPHEADER, headers);
  Set(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(timeout)));  // NOLINT: curl's type
  Set(curl, CURLOPT_WRITEFUNCTION, &TakeBody);
  Set(curl, CURLOPT_WRITEDATA, reply);
  Set(curl, CURLOPT_ERRORBUFFER, error);
}

}  // namespace

absl::StatusOr<HttpReply> HttpPost(const std::string& url, const std::string& body, const std::string& bearer_key,
                                   absl::Duration timeout) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (initialised != CURLE_OK || curl == nullptr) return absl::InternalError("libcurl cannot be initialised");
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  if (!bearer_key.empty()) list = curl_slist_append(list, absl::StrCat("Authorization: Bearer ", bearer_key).c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, &curl_slist_free_all);
  HttpReply reply;
  char error[CURL_ERROR_SIZE] = "";
  SetUp(curl.get(), url, body, headers.get(), timeout, &reply, error);
  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat(url, ": ", error[0] != '\0' ? error : curl_easy_strerror(code)));
  }
  long status = 0;  // NOLINT: curl's type
  curl_off_t retry_after_s = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &retry_after_s);
  reply.status = static_cast<int>(status);
  reply.retry_after = absl::Seconds(retry_after_s);
  return reply;
}

}  // namespace larder
