// Hands out vids. Vids are never reused, also not after a crash: the store holds a limit that every
// vid handed out lies below, raised a block at a time.
#ifndef LARDER_ENGINE_VID_ALLOCATOR_H_
#define LARDER_ENGINE_VID_ALLOCATOR_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/store.h"

namespace larder {

// Thread-safe.
class VidAllocator {
 public:
  VidAllocator(uint32_t collection, storage::Store* store) : collection_(collection), store_(store) {}
  absl::Status Load();
  // The first of `count` consecutive vids.
  absl::StatusOr<uint64_t> Allocate(uint64_t count);
  uint64_t next() const;
  // At a clean close: the limit becomes the next vid, so that no vid is skipped.
  absl::Status Settle();

 private:
  static constexpr uint64_t kBlock = 65'536;
  absl::Status WriteLimit(uint64_t limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint32_t collection_;
  storage::Store* const store_;
  mutable absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t limit_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace larder

#endif  // LARDER_ENGINE_VID_ALLOCATOR_H_
