// File descriptors of this process.
#ifndef LARDER_RPC_FD_LIMIT_H_
#define LARDER_RPC_FD_LIMIT_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace larder {

// A gRPC 1.51 server that runs out of descriptors never accepts again (CVE-2023-4785).
inline constexpr uint64_t kLeastFds = 1024;

// Raises the soft limit to the hard one and returns it. FailedPrecondition if that is below `least`.
absl::StatusOr<uint64_t> RaiseFdLimit(uint64_t least = kLeastFds);

}  // namespace larder

#endif  // LARDER_RPC_FD_LIMIT_H_
