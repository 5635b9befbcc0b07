// absl::Status <-> grpc::Status: the code numbers are the same, the message is kept.
#ifndef LARDER_PROTO_STATUS_H_
#define LARDER_PROTO_STATUS_H_

#include <cstddef>

#include "absl/status/status.h"

namespace grpc {
class Status;
}

namespace larder {

// gRPC carries the message in the trailing metadata, percent-encoded (up to three bytes for one),
// and peers accept 8 KiB of metadata by default; a longer message would hide the error it explains.
inline constexpr size_t kMaxStatusMessageBytes = 2048;

// Longer messages are cut, and say so.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace larder

#endif  // LARDER_PROTO_STATUS_H_
