#include "storage/pread_pool.h"

#include <errno.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "storage/status_macros.h"

namespace larder::storage {
namespace {

void ReadNow(const PreadPool::Job& job) {
  ssize_t got = 0;
  do {
    got = ::pread(job.fd, job.target, job.length, static_cast<off_t>(job.offset));
  } while (got < 0 && errno == EINTR);
  job.inbox->Put({.slot = job.slot, .result = got < 0 ? -errno : static_cast<int32_t>(got)});
}

class PreadQueue : public ReadQueue {
 public:
  PreadQueue(PreadPool* pool, std::unique_ptr<ReadBuffers> buffers)
      : ReadQueue(std::move(buffers)), pool_(pool) {}

  ~PreadQueue() override {
    std::vector<Completion> ignored;
    while (in_flight_ > 0) Collect(&ignored);
  }

  absl::Status Submit(uint32_t slot, int fd, uint64_t offset, uint32_t slot_offset,
                      uint32_t length) override {
    ++in_flight_;
    pool_->Add({.fd = fd,
                .offset = offset,
                .target = buffers().slot(slot) + slot_offset,
                .length = length,
                .slot = slot,
                .inbox = &inbox_});
    return absl::OkStatus();
  }

  absl::Status Wait(std::vector<Completion>* done) override {
    Collect(done);
    return absl::OkStatus();
  }

 private:
  void Collect(std::vector<Completion>* done) {
    const size_t before = done->size();
    inbox_.TakeAll(done);
    in_flight_ -= done->size() - before;
  }

  PreadPool* const pool_;
  size_t in_flight_ = 0;
  PreadInbox inbox_;
};

}  // namespace

void PreadInbox::Put(const ReadQueue::Completion& completion) {
  absl::MutexLock lock(&mutex_);
  done_.push_back(completion);
}

void PreadInbox::TakeAll(std::vector<ReadQueue::Completion>* out) {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &PreadInbox::Any));
  out->insert(out->end(), done_.begin(), done_.end());
  done_.clear();
}

PreadPool::~PreadPool() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void PreadPool::Add(const Job& job) {
  {
    absl::MutexLock lock(&mutex_);
    StartThreadIfNeeded();
    if (!threads_.empty()) {
      jobs_.push_back(job);
      return;
    }
  }
  ReadNow(job);  // no thread can be had: slow, but right
}

void PreadPool::StartThreadIfNeeded() {
  if (idle_ > jobs_.size() || threads_.size() >= max_threads_) return;
  try {
    threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
    // The threads that exist must do.
  }
}

void PreadPool::Work() {
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(this, &PreadPool::HasWork));
      --idle_;
      if (jobs_.empty()) return;  // stopping
      job = jobs_.front();
      jobs_.pop_front();
    }
    ReadNow(job);
  }
}

absl::StatusOr<std::unique_ptr<ReadQueue>> MakePreadQueue(PreadPool* pool, uint32_t slots,
                                                          uint32_t slot_bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadBuffers> buffers, ReadBuffers::Make(slots, slot_bytes));
  return std::make_unique<PreadQueue>(pool, std::move(buffers));
}

}  // namespace larder::storage
