#include "storage/extent_test_support.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>

namespace larder::storage {

int FaultySystem::Open(const std::string& path, int flags) {
  if (refuse_direct && (flags & O_DIRECT) != 0) {
    errno = EINVAL;
    return -1;
  }
  return ExtentSystem::Open(path, flags);
}

ssize_t FaultySystem::WriteVector(int fd, const iovec* parts, int count, uint64_t offset) {
  int64_t wanted = 0;
  for (int i = 0; i < count; ++i) wanted += static_cast<int64_t>(parts[i].iov_len);
  const int64_t before = space.fetch_sub(wanted);
  if (before >= wanted) return ExtentSystem::WriteVector(fd, parts, count, offset);
  space.fetch_add(wanted - std::max<int64_t>(0, std::min(before, wanted)));
  if (before <= 0) {
    errno = write_error;
    return -1;
  }
  std::vector<iovec> short_parts;
  int64_t left = before;
  for (int i = 0; i < count && left > 0; ++i) {
    const int64_t take = std::min<int64_t>(left, static_cast<int64_t>(parts[i].iov_len));
    short_parts.push_back({parts[i].iov_base, static_cast<size_t>(take)});
    left -= take;
  }
  return ExtentSystem::WriteVector(fd, short_parts.data(), static_cast<int>(short_parts.size()), offset);
}

int FaultySystem::SyncData(int fd) {
  ++syncs;
  if (failing_syncs > 0) {
    --failing_syncs;
    errno = EIO;
    return -1;
  }
  return ExtentSystem::SyncData(fd);
}

int FaultySystem::SyncDirectory(const std::string& path) {
  ++directory_syncs;
  if (failing_directory_syncs > 0) {
    --failing_directory_syncs;
    errno = EIO;
    return -1;
  }
  return ExtentSystem::SyncDirectory(path);
}

}  // namespace larder::storage
