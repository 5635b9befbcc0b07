// gRPC in front of a Database, over loopback.
#ifndef LARDER_RPC_SERVER_H_
#define LARDER_RPC_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "larder/database.h"

namespace larder {

struct ServerOptions {
  std::string listen = "127.0.0.1:7614";          // loopback only; port 0 = any free one
  int64_t max_message_bytes = int64_t{64} << 20;  // of a request; 64 KiB to 1 GiB
  int64_t max_metadata_bytes = int64_t{8} << 10;  // of a request; 1 KiB to 64 KiB
  int64_t max_concurrent_calls = 128;             // beyond: ResourceExhausted at once; 1 to 4,096
  int64_t max_streams_per_connection = 256;       // beyond: the peer waits; 1 to 65,536
  int64_t max_buffer_bytes = int64_t{1} << 30;    // gRPC's buffers; as much again for KV layers
  int64_t max_layer_bytes = int64_t{256} << 20;   // K and V of one layer
  std::string backup_root;                        // where backups go; "" = none are made
  bool allow_http_embedder = false;               // let clients name embedding endpoints (and key variables)

  absl::Status Validate() const;
};

// Thread-safe.
class Server {
 public:
  // Serves when it returns. `database` is borrowed and must outlive the server. FailedPrecondition
  // for an address that is not loopback, Unavailable if the address is taken.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Database* database, const ServerOptions& options);
  virtual ~Server() = default;  // stops

  virtual const std::string& address() const = 0;  // "127.0.0.1:7614", with the port that was chosen
  // Accepts no more and reports NOT_SERVING; calls in flight have `drain` to finish and are then
  // cancelled. What the engine is executing is waited for, however long it takes: it cannot be cut
  // off. Later calls return once the first has.
  virtual void Stop(absl::Duration drain = absl::Seconds(10)) = 0;
};

}  // namespace larder

#endif  // LARDER_RPC_SERVER_H_
