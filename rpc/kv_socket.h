// The Unix socket by which processes on the same host read KV entries from shared memory (kv_local.proto).
#ifndef LARDER_RPC_KV_SOCKET_H_
#define LARDER_RPC_KV_SOCKET_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "larder/kv.h"

namespace larder {

struct KvSocketOptions {
  std::string path = {};
  uint32_t max_clients = 64;                         // 1 to 4,096; more are refused. One thread each.
  absl::Duration hello = absl::Seconds(10);          // within which a client must say who it is
  absl::Duration send = absl::Seconds(5);            // within which it must take a reply

  absl::Status Validate() const;
};

// Only processes of this process's user, and root, are served: the file has mode 0600, and the kernel is
// asked whose each connection is. A client that goes away, however it goes, leaves no lease behind.
// Thread-safe.
class KvSocket {
 public:
  // Serves when it returns. `kv` is borrowed and must outlive it. FailedPrecondition if it has no shared
  // memory, AlreadyExists if another server listens on the path.
  static absl::StatusOr<std::unique_ptr<KvSocket>> Start(KvCache* kv, const KvSocketOptions& options);
  virtual ~KvSocket() = default;  // hangs up on all clients and removes the file

  virtual uint32_t clients() const = 0;  // connected now
};

}  // namespace larder

#endif  // LARDER_RPC_KV_SOCKET_H_
