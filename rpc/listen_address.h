// Where the server listens.
#ifndef LARDER_RPC_LISTEN_ADDRESS_H_
#define LARDER_RPC_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder {

struct ListenAddress {
  std::string host;   // an address, never a name: "127.0.0.1", "[::1]"
  uint16_t port = 0;  // 0 = any free one
};

// "host:port" with host an address of 127.0.0.0/8, [::1] or localhost (127.0.0.1; never resolved,
// so that no hosts file can point it elsewhere). FailedPrecondition for any other host: without
// TLS and keys nothing else may reach the server. InvalidArgument for what is not host:port.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

}  // namespace larder

#endif  // LARDER_RPC_LISTEN_ADDRESS_H_
