// The system calls under the extent store that can fail in ways it must survive (a full disk, a
// failed sync, a file system without O_DIRECT), replaceable so that tests can fail each one.
#ifndef LARDER_STORAGE_EXTENT_SYSTEM_H_
#define LARDER_STORAGE_EXTENT_SYSTEM_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace larder::storage {

// Each call as in the manual: -1 and errno on failure; EINTR is retried. Thread-safe.
class ExtentSystem {
 public:
  virtual ~ExtentSystem() = default;
  static ExtentSystem& Posix();

  // Adds O_CLOEXEC and O_NOFOLLOW.
  virtual int Open(const std::string& path, int flags);
  virtual ssize_t WriteVector(int fd, const iovec* parts, int count, uint64_t offset);
  virtual int SyncData(int fd);
  virtual int SyncDirectory(const std::string& path);
};

// ErrnoToStatus, with a file that may not grow further (EFBIG) as ResourceExhausted.
absl::Status ExtentWriteError(int error, absl::string_view operation, absl::string_view path);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_SYSTEM_H_
