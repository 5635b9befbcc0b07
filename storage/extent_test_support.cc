#include "storage/extent_test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace larder::storage {

int FaultySystem::Open(const std::string& path, int flags) {
  if (refuse_direct && (flags & O_DIRECT) != 0) {
    errno = EINVAL;
    return -1;
  }
  const int fd = ExtentSystem::Open(path, flags);
  absl::MutexLock lock(&mutex_);
  path_of_[fd] = path;
  if (fd >= 0 && (flags & O_CREAT) != 0) new_names_.insert(path);
  return fd;
}

ssize_t FaultySystem::WriteVector(int fd, const iovec* parts, int count, uint64_t offset) {
  int64_t wanted = 0;
  for (int i = 0; i < count; ++i) wanted += static_cast<int64_t>(parts[i].iov_len);
  {
    absl::MutexLock lock(&mutex_);
    unsynced_[path_of_[fd]].push_back({offset, static_cast<uint64_t>(wanted)});
  }
  const int64_t before = space.fetch_sub(wanted);
  if (before >= wanted) {
    const ssize_t wrote = ExtentSystem::WriteVector(fd, parts, count, offset);
    if (after_write != nullptr) std::exchange(after_write, nullptr)();
    return wrote;
  }
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
  {
    absl::MutexLock lock(&mutex_);
    unsynced_.erase(path_of_[fd]);
  }
  return pretend_to_sync ? 0 : ExtentSystem::SyncData(fd);
}

int FaultySystem::SyncDirectory(const std::string& path) {
  ++directory_syncs;
  if (failing_directory_syncs > 0) {
    --failing_directory_syncs;
    errno = EIO;
    return -1;
  }
  {
    absl::MutexLock lock(&mutex_);
    new_names_.clear();
  }
  return pretend_to_sync ? 0 : ExtentSystem::SyncDirectory(path);
}

void FaultySystem::LosePower(std::mt19937_64& random) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [path, ranges] : unsynced_) {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0) continue;  // collected since
    for (const Range& range : ranges) {
      const std::string zeros(range.bytes, '\0');
      switch (random() % 3) {
        case 0:
          break;
        case 1:
          EXPECT_EQ(::pwrite(file.get(), zeros.data(), zeros.size() / 2, static_cast<off_t>(range.offset)),
                    static_cast<ssize_t>(zeros.size() / 2));
          break;
        case 2:
          // Later writes to the file were not synced either.
          EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(range.offset)), 0);
          break;
      }
    }
  }
  unsynced_.clear();
  for (const std::string& path : new_names_) {
    if (random() % 2 == 0) ::unlink(path.c_str());
  }
  new_names_.clear();
}

}  // namespace larder::storage
