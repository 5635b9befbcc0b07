// Group commit: concurrent writers queue up; the one at the front leads, takes all that wait (up to
// a bound), applies them as one physical write with one sync, and hands each its commit number.
// After LevelDB's writer queue (db/db_impl.cc, BuildBatchGroup).
#ifndef LARDER_STORAGE_GROUP_COMMIT_H_
#define LARDER_STORAGE_GROUP_COMMIT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/store.h"

namespace larder::storage {

// Thread-safe.
class GroupCommit {
 public:
  // Applies the batches in order, all or none, and returns the commit number of the first; the
  // others follow it. Called by one thread at a time, without any lock of this class held.
  using Apply =
      std::function<absl::StatusOr<uint64_t>(const std::vector<const WriteBatch*>& group, bool sync)>;
  GroupCommit(Apply apply, size_t max_group_bytes)
      : apply_(std::move(apply)), max_group_bytes_(max_group_bytes) {}

  // Waits until `batch` is applied. Syncs if any batch of its group asked for it.
  absl::StatusOr<uint64_t> Write(const WriteBatch& batch, bool sync);

  // Runs `held` while nothing is being applied and nothing can start.
  absl::Status Exclusively(const std::function<absl::Status()>& held);

 private:
  struct Waiter {
    const WriteBatch* batch;
    bool sync;
    bool done = false;
    absl::StatusOr<uint64_t> result = uint64_t{0};
  };

  void Lead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Waiter*> TakeGroup(bool* sync) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Apply apply_;
  const size_t max_group_bytes_;

  absl::Mutex mutex_;
  std::deque<Waiter*> queue_ ABSL_GUARDED_BY(mutex_);
  int exclusive_waiting_ ABSL_GUARDED_BY(mutex_) = 0;  // goes before the next leader
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;          // a leader applies, or Exclusively runs
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_GROUP_COMMIT_H_
