// A read queue on an io_uring of its own, with its buffers registered where the limit on locked
// memory allows.
#ifndef LARDER_STORAGE_URING_IO_H_
#define LARDER_STORAGE_URING_IO_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "storage/read_queue.h"

namespace larder::storage {

// Unavailable where the kernel has no io_uring (ENOSYS), it is forbidden (EPERM: seccomp, sysctl),
// or it lacks IORING_OP_READ (before Linux 5.6).
absl::StatusOr<std::unique_ptr<ReadQueue>> MakeUringQueue(uint32_t slots, uint32_t slot_bytes);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_URING_IO_H_
