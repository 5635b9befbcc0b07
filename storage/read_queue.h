// Many reads in flight from one thread: a queue of slots, each an aligned buffer that one read at a
// time fills. io_uring (uring_io.h) or threads (pread_pool.h) stand behind it.
#ifndef LARDER_STORAGE_READ_QUEUE_H_
#define LARDER_STORAGE_READ_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace larder::storage {

// The buffers of a queue: one anonymous mapping, zero-filled, aligned to the page. Pages that no
// read has touched cost nothing, unless the kernel pins them (registered buffers).
class ReadBuffers {
 public:
  static absl::StatusOr<std::unique_ptr<ReadBuffers>> Make(uint32_t slots, uint32_t slot_bytes);
  ~ReadBuffers();
  ReadBuffers(const ReadBuffers&) = delete;
  ReadBuffers& operator=(const ReadBuffers&) = delete;

  char* slot(uint32_t index) const { return data_ + size_t{index} * slot_bytes_; }
  char* data() const { return data_; }
  size_t bytes() const { return size_t{slots_} * slot_bytes_; }
  uint32_t slots() const { return slots_; }
  uint32_t slot_bytes() const { return slot_bytes_; }

 private:
  ReadBuffers(char* data, uint32_t slots, uint32_t slot_bytes)
      : data_(data), slots_(slots), slot_bytes_(slot_bytes) {}
  char* data_;
  const uint32_t slots_, slot_bytes_;
};

// Single-threaded; handed from thread to thread by ReadQueuePool. Destroying a queue waits for what
// is in flight.
class ReadQueue {
 public:
  struct Completion {
    uint32_t slot = 0;
    int32_t result = 0;  // bytes read (0 at the file's end), or -errno
  };

  virtual ~ReadQueue() = default;
  const ReadBuffers& buffers() const { return *buffers_; }

  // Reads `length` bytes of `fd` at `offset` into the slot, from `slot_offset` on; both inside the
  // slot, which must be idle. May not start before Wait.
  virtual absl::Status Submit(uint32_t slot, int fd, uint64_t offset, uint32_t slot_offset,
                              uint32_t length) = 0;
  // Starts what was submitted; without it, Wait does.
  virtual absl::Status Flush() { return absl::OkStatus(); }
  // Blocks until at least one read is done, and appends what is done. After an error the queue
  // must be dropped.
  virtual absl::Status Wait(std::vector<Completion>* done) = 0;

 protected:
  explicit ReadQueue(std::unique_ptr<ReadBuffers> buffers) : buffers_(std::move(buffers)) {}
  // Leaks them, for the case that the kernel cannot be stopped from writing there.
  void AbandonBuffers() { (void)buffers_.release(); }

 private:
  std::unique_ptr<ReadBuffers> buffers_;
};

// Lends queues, so that concurrent readers do not wait for each other's reads; makes one when none
// is idle, up to `max_queues`, and beyond that lets the reader wait. Thread-safe.
class ReadQueuePool {
 public:
  using Factory = std::function<absl::StatusOr<std::unique_ptr<ReadQueue>>()>;
  ReadQueuePool(Factory factory, size_t max_queues);

  // Gives the queue back when it goes, unless Drop() was called.
  class Lease {
   public:
    Lease(ReadQueuePool* pool, std::unique_ptr<ReadQueue> queue) : pool_(pool), queue_(std::move(queue)) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (queue_ != nullptr) pool_->Return(std::move(queue_), dropped_);
    }
    ReadQueue* operator->() const { return queue_.get(); }
    ReadQueue& operator*() const { return *queue_; }
    void Drop() { dropped_ = true; }

   private:
    ReadQueuePool* pool_;
    std::unique_ptr<ReadQueue> queue_;
    bool dropped_ = false;
  };
  // Fails only when no queue can be made and none is there to wait for.
  absl::StatusOr<Lease> Acquire();

 private:
  void Return(std::unique_ptr<ReadQueue> queue, bool dropped);
  // True when a waiting reader has something to try.
  bool MayProceed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !idle_.empty() || made_ < limit_; }

  const Factory factory_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<ReadQueue>> idle_ ABSL_GUARDED_BY(mutex_);
  size_t made_ ABSL_GUARDED_BY(mutex_) = 0;  // idle and lent
  size_t limit_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_READ_QUEUE_H_
