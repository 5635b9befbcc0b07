#include "storage/read_queue.h"

#include <errno.h>
#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::storage {

absl::StatusOr<std::unique_ptr<ReadBuffers>> ReadBuffers::Make(uint32_t slots, uint32_t slot_bytes) {
  const size_t bytes = size_t{slots} * slot_bytes;
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("read buffers: no memory for ", bytes, " bytes"));
  }
  return std::unique_ptr<ReadBuffers>(new ReadBuffers(static_cast<char*>(data), slots, slot_bytes));
}

ReadBuffers::~ReadBuffers() { ::munmap(data_, bytes()); }

ReadQueuePool::ReadQueuePool(Factory factory, size_t max_queues)
    : factory_(std::move(factory)), limit_(max_queues) {}

absl::StatusOr<ReadQueuePool::Lease> ReadQueuePool::Acquire() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(this, &ReadQueuePool::MayProceed));
    if (!idle_.empty()) {
      std::unique_ptr<ReadQueue> queue = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(queue));
    }
    ++made_;
    mutex_.Unlock();
    absl::StatusOr<std::unique_ptr<ReadQueue>> queue = factory_();
    mutex_.Lock();
    if (queue.ok()) return Lease(this, *std::move(queue));
    --made_;
    // Locked memory or descriptors ran out: the queues that exist must do.
    if (made_ == 0) return queue.status();
    limit_ = made_;
  }
}

void ReadQueuePool::Return(std::unique_ptr<ReadQueue> queue, bool dropped) {
  if (dropped) queue.reset();  // outside the lock: it may wait for reads in flight
  absl::MutexLock lock(&mutex_);
  if (queue != nullptr) {
    idle_.push_back(std::move(queue));
  } else {
    --made_;
  }
}

}  // namespace larder::storage
