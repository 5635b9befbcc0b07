#include "storage/group_commit.h"

namespace larder::storage {

absl::StatusOr<uint64_t> GroupCommit::Write(const WriteBatch& batch, bool sync) {
  Waiter self{&batch, sync};
  absl::MutexLock lock(&mutex_);
  queue_.push_back(&self);
  auto my_turn = [this, &self]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return self.done || (!busy_ && exclusive_waiting_ == 0 && queue_.front() == &self);
  };
  mutex_.Await(absl::Condition(&my_turn));
  if (!self.done) Lead();
  return std::move(self.result);
}

std::vector<GroupCommit::Waiter*> GroupCommit::TakeGroup(bool* sync) {
  std::vector<Waiter*> group;
  size_t bytes = 0;
  *sync = false;
  while (!queue_.empty()) {
    Waiter* const next = queue_.front();
    bytes += next->batch->bytes();
    if (!group.empty() && bytes > max_group_bytes_) break;
    group.push_back(next);
    queue_.pop_front();
    *sync = *sync || next->sync;
  }
  return group;
}

void GroupCommit::Lead() {
  bool sync;
  const std::vector<Waiter*> group = TakeGroup(&sync);
  std::vector<const WriteBatch*> batches;
  for (const Waiter* waiter : group) batches.push_back(waiter->batch);
  busy_ = true;
  mutex_.Unlock();
  const absl::StatusOr<uint64_t> first = apply_(batches, sync);
  mutex_.Lock();
  busy_ = false;
  for (size_t i = 0; i < group.size(); ++i) {
    if (first.ok()) {
      group[i]->result = *first + i;
    } else {
      group[i]->result = first.status();
    }
    group[i]->done = true;
  }
}

absl::Status GroupCommit::Exclusively(const std::function<absl::Status()>& held) {
  mutex_.Lock();
  ++exclusive_waiting_;
  auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !busy_; };
  mutex_.Await(absl::Condition(&idle));
  --exclusive_waiting_;
  busy_ = true;
  mutex_.Unlock();
  absl::Status status = held();
  absl::MutexLock lock(&mutex_);
  busy_ = false;
  return status;
}

}  // namespace larder::storage
