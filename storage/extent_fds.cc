#include "storage/extent_fds.h"

#include <errno.h>
#include <fcntl.h>

#include "storage/extent_format.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {

ExtentFds::ExtentFds(ExtentSystem& system, std::string directory, bool direct_io, size_t capacity)
    : system_(system), directory_(std::move(directory)), capacity_(capacity), direct_(direct_io) {}

absl::StatusOr<std::shared_ptr<const ReadHandle>> ExtentFds::Get(uint32_t file) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = by_file_.find(file);
    if (found != by_file_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const ReadHandle> handle, Open(file));
  Insert(file, handle);
  return handle;
}

absl::StatusOr<std::shared_ptr<const ReadHandle>> ExtentFds::Open(uint32_t file) {
  const std::string path = JoinPath(directory_, ExtentFileName(file));
  auto handle = std::make_shared<ReadHandle>();
  handle->direct = direct();
  int fd = system_.Open(path, O_RDONLY | (handle->direct ? O_DIRECT : 0));
  if (fd < 0 && errno == EINVAL && handle->direct) {
    GiveUpDirect();
    handle->direct = false;
    fd = system_.Open(path, O_RDONLY);
  }
  if (fd < 0) return ErrnoToStatus(errno, "open", path);
  handle->fd = Descriptor(fd);
  return handle;
}

void ExtentFds::Insert(uint32_t file, std::shared_ptr<const ReadHandle> handle) {
  std::shared_ptr<const ReadHandle> evicted;  // closed after the lock is let go
  absl::MutexLock lock(&mutex_);
  // Another reader was faster, or the file is going: ours closes after use.
  if (by_file_.contains(file) || retired_.contains(file)) return;
  recent_.emplace_front(file, std::move(handle));
  by_file_[file] = recent_.begin();
  if (recent_.size() <= capacity_) return;
  evicted = std::move(recent_.back().second);
  by_file_.erase(recent_.back().first);
  recent_.pop_back();
}

void ExtentFds::Retire(uint32_t file) {
  absl::MutexLock lock(&mutex_);
  retired_.insert(file);
  const auto found = by_file_.find(file);
  if (found == by_file_.end()) return;
  recent_.erase(found->second);
  by_file_.erase(found);
}

void ExtentFds::GiveUpDirect() {
  direct_.store(false, std::memory_order_relaxed);
  absl::MutexLock lock(&mutex_);
  by_file_.clear();
  recent_.clear();
}

}  // namespace larder::storage
