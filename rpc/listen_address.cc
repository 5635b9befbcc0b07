#include "rpc/listen_address.h"

#include <arpa/inet.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace larder {
namespace {

// Empty if `host` is not loopback.
std::string LoopbackHost(absl::string_view host) {
  if (host == "localhost") return "127.0.0.1";
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  const std::string address(host);
  in6_addr v6;
  if (bracketed) {
    const bool loopback = inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return loopback ? "[::1]" : "";
  }
  in_addr v4;
  const bool loopback = inet_pton(AF_INET, address.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
  return loopback ? address : "";
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || colon == 0 || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address \"", text, "\": expected host:port with a port up to 65535"));
  }
  const std::string host = LoopbackHost(text.substr(0, colon));
  if (host.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen address \"", text,
                     "\" is not loopback: without TLS and keys the server listens on 127.0.0.0/8, [::1] or "
                     "localhost only"));
  }
  return ListenAddress{.host = host, .port = static_cast<uint16_t>(port)};
}

}  // namespace larder
