#include "storage/extent_system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "storage/posix_file.h"

namespace larder::storage {
namespace {

template <typename Call>
auto RetryInterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

ExtentSystem& ExtentSystem::Posix() {
  static ExtentSystem* const posix = new ExtentSystem;
  return *posix;
}

int ExtentSystem::Open(const std::string& path, int flags) {
  return RetryInterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644); });
}

ssize_t ExtentSystem::WriteVector(int fd, const iovec* parts, int count, uint64_t offset) {
  return RetryInterrupted([&] { return ::pwritev(fd, parts, count, static_cast<off_t>(offset)); });
}

int ExtentSystem::SyncData(int fd) {
  return RetryInterrupted([&] { return ::fdatasync(fd); });
}

int ExtentSystem::SyncDirectory(const std::string& path) {
  const Descriptor directory(Open(path, O_RDONLY | O_DIRECTORY));
  if (directory.get() < 0) return -1;
  return RetryInterrupted([&] { return ::fsync(directory.get()); });
}

absl::Status ExtentWriteError(int error, absl::string_view operation, absl::string_view path) {
  if (error != EFBIG) return ErrnoToStatus(error, operation, path);
  return absl::ResourceExhaustedError(absl::StrCat(operation, " ", path, ": ", strerror(error)));
}

}  // namespace larder::storage
