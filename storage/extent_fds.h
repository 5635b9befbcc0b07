// Descriptors for reading extent files: few, opened when needed, with O_DIRECT where the file
// system takes it.
#ifndef LARDER_STORAGE_EXTENT_FDS_H_
#define LARDER_STORAGE_EXTENT_FDS_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/extent_system.h"
#include "storage/posix_file.h"

namespace larder::storage {

// An open file. Reads through it go on after the file has been unlinked or evicted.
struct ReadHandle {
  Descriptor fd{-1};
  bool direct = false;
};

// Keeps the `capacity` files used last open; more are open only while reads hold them. Thread-safe.
class ExtentFds {
 public:
  ExtentFds(ExtentSystem& system, std::string directory, bool direct_io, size_t capacity);

  // NotFound if there is no such file.
  absl::StatusOr<std::shared_ptr<const ReadHandle>> Get(uint32_t file);
  // The file is about to be deleted: forgets it, for good.
  void Retire(uint32_t file);

  // O_DIRECT was refused: every later handle goes through the page cache.
  void GiveUpDirect();
  // Whether O_DIRECT is in use, as far as files opened until now have told.
  bool direct() const { return direct_.load(std::memory_order_relaxed); }

 private:
  using Entry = std::pair<uint32_t, std::shared_ptr<const ReadHandle>>;
  absl::StatusOr<std::shared_ptr<const ReadHandle>> Open(uint32_t file);
  void Insert(uint32_t file, std::shared_ptr<const ReadHandle> handle);

  ExtentSystem& system_;
  const std::string directory_;
  const size_t capacity_;
  std::atomic<bool> direct_;
  absl::Mutex mutex_;
  std::list<Entry> recent_ ABSL_GUARDED_BY(mutex_);  // the latest first
  absl::flat_hash_map<uint32_t, std::list<Entry>::iterator> by_file_ ABSL_GUARDED_BY(mutex_);
  // An open that was under way when its file was retired must not keep the deleted bytes on disk.
  absl::flat_hash_set<uint32_t> retired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_FDS_H_
