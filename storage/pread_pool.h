// Threads that pread, where io_uring is refused; and a read queue that uses them.
#ifndef LARDER_STORAGE_PREAD_POOL_H_
#define LARDER_STORAGE_PREAD_POOL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/read_queue.h"

namespace larder::storage {

// Starts threads as reads queue up, at most `max_threads`. Thread-safe. Must outlive its queues.
class PreadPool {
 public:
  struct Job;
  explicit PreadPool(size_t max_threads) : max_threads_(max_threads) {}
  ~PreadPool();

  void Add(const Job& job);

 private:
  void Work();
  void StartThreadIfNeeded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !jobs_.empty(); }

  const size_t max_threads_;
  absl::Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// Where a queue's finished reads gather. Thread-safe.
class PreadInbox {
 public:
  void Put(const ReadQueue::Completion& completion);
  // Blocks until there is one.
  void TakeAll(std::vector<ReadQueue::Completion>* out);

 private:
  bool Any() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !done_.empty(); }
  absl::Mutex mutex_;
  std::vector<ReadQueue::Completion> done_ ABSL_GUARDED_BY(mutex_);
};

struct PreadPool::Job {
  int fd = -1;
  uint64_t offset = 0;
  char* target = nullptr;
  uint32_t length = 0;
  uint32_t slot = 0;
  PreadInbox* inbox = nullptr;
};

absl::StatusOr<std::unique_ptr<ReadQueue>> MakePreadQueue(PreadPool* pool, uint32_t slots,
                                                          uint32_t slot_bytes);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_PREAD_POOL_H_
