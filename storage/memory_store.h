// For tests: a Store in memory that opens in no time, loses power on request, and whose writes,
// values and iterators can be made to fail.
#ifndef LARDER_STORAGE_MEMORY_STORE_H_
#define LARDER_STORAGE_MEMORY_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/store.h"

namespace larder::storage {

// Thread-safe.
class MemoryStore final : public Store {
 public:
  absl::Status Close() override { return absl::OkStatus(); }
  const std::string& directory() const override { return directory_; }
  absl::StatusOr<uint64_t> Write(WriteBatch batch, bool sync) override;
  absl::StatusOr<std::string> Get(Table table, absl::string_view key,
                                  const Snapshot* snapshot) const override;
  std::vector<absl::StatusOr<std::string>> MultiGet(Table table, absl::Span<const std::string> keys,
                                                    const Snapshot* snapshot) const override;
  std::unique_ptr<Iterator> NewIterator(Table table, absl::string_view prefix,
                                        const Snapshot* snapshot) const override;
  std::unique_ptr<Snapshot> GetSnapshot() const override;
  CommitState state() const override;
  absl::StatusOr<CommitState> StateAt(const Snapshot& snapshot) const override;
  StoreStats Stats() const override { return {}; }
  absl::Status Compact() override { return absl::OkStatus(); }
  absl::Status WriteMark() override { return absl::OkStatus(); }
  absl::StatusOr<uint64_t> Verify(const RecordVisitor& record,
                                  std::vector<std::string>* problems) const override;
  absl::Status Checkpoint(absl::string_view target, const std::function<absl::Status()>& while_held) override;

  // Forgets commits that were not synced, but for the first `kept` of them.
  void LosePower(size_t kept);
  size_t UnsyncedCommits() const;
  void FailNextWrite(absl::Status status);
  // Flips a bit of a stored value: reading it is DataLoss from then on.
  void Damage(Table table, const std::string& key);
  // Iterators over this table end early with this error; OK: no longer.
  void BreakIteration(Table table, absl::Status status);

 private:
  struct Contents {
    std::map<std::string, std::string> tables[kTableCount];  // values with their trailers
    CommitState state;
    void Apply(const WriteBatch& batch);
  };
  class MemorySnapshot;
  class MemoryIterator;
  Contents ContentsAt(const Snapshot* snapshot) const ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string directory_ = "in memory";
  mutable absl::Mutex mutex_;
  Contents now_ ABSL_GUARDED_BY(mutex_), durable_ ABSL_GUARDED_BY(mutex_);
  std::vector<WriteBatch> unsynced_ ABSL_GUARDED_BY(mutex_);
  absl::Status next_write_ ABSL_GUARDED_BY(mutex_);
  absl::Status iteration_[kTableCount] ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_MEMORY_STORE_H_
