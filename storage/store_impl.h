// The store over RocksDB. Private: store.cc opens and closes it, store_write.cc commits and marks,
// store_recover.cc gets over a full disk, store_read.cc reads, store_copy.cc copies.
#ifndef LARDER_STORAGE_STORE_IMPL_H_
#define LARDER_STORAGE_STORE_IMPL_H_

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/commit_mark.h"
#include "storage/group_commit.h"
#include "storage/layout.h"
#include "storage/rocks.h"
#include "storage/store.h"

namespace larder::storage {

// What tests replace in order to fail it.
struct StoreEnvironment {
  rocksdb::Env* env = nullptr;  // null: RocksDB's default
  FileSystem* files = &FileSystem::Posix();
};

absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view directory, const StoreOptions& options,
                                                 const StoreEnvironment& environment);

// Reads the commit record; null `snapshot`: the newest. DataLoss if there is none.
absl::StatusOr<CommitRecord> ReadCommitRecord(const Rocks& rocks,
                                              const rocksdb::Snapshot* snapshot = nullptr);

class StoreImpl final : public Store {
 public:
  StoreImpl(Layout layout, const StoreOptions& options, FileSystem& files, FileLock lock,
            std::unique_ptr<Rocks> rocks, const CommitRecord& record, rocksdb::Env* env);
  ~StoreImpl() override;
  void StartMarking();

  absl::Status Close() override;
  const std::string& directory() const override { return layout_.directory; }
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
  StoreStats Stats() const override;
  absl::Status Compact() override;
  absl::Status WriteMark() override;
  absl::StatusOr<uint64_t> Verify(const RecordVisitor& record,
                                  std::vector<std::string>* problems) const override;
  absl::Status Checkpoint(absl::string_view target, const std::function<absl::Status()>& while_held) override;

 private:
  // The leader's work, one thread at a time.
  absl::StatusOr<uint64_t> Apply(const std::vector<const WriteBatch*>& group, bool sync);
  absl::Status RecoverIfFailed();
  absl::Status Reopen();
  absl::Status CheckSpace(const WriteBatch& batch) const;
  absl::Status NoteFailure(const rocksdb::Status& status, absl::string_view what);

  void MarkLoop();
  absl::Status MakeDurable(CommitState* state);
  absl::StatusOr<ManifestPosition> LiveManifest() const;

  // Whoever holds it keeps RocksDB open. FailedPrecondition once closed; the failure that keeps it
  // from being opened again after a full disk.
  absl::StatusOr<std::shared_ptr<Rocks>> Open() const;
  absl::Status CopyWhileHeld(const Layout& target, const std::function<absl::Status()>& while_held);

  const Layout layout_;
  const StoreOptions options_;
  const std::string identity_;
  FileSystem& files_;
  FileLock lock_;
  rocksdb::Env* const env_;
  GroupCommit commits_;
  std::thread marker_;

  mutable absl::Mutex rocks_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // held to write while it is opened anew
  std::shared_ptr<Rocks> rocks_ ABSL_GUARDED_BY(rocks_mutex_);   // null once closed
  mutable absl::Mutex mutex_;
  CommitState state_ ABSL_GUARDED_BY(mutex_);        // of the last acknowledged commit
  uint64_t durable_commit_ ABSL_GUARDED_BY(mutex_);  // synced up to here
  // Not OK: nothing is acknowledged. A full disk is retried, any other failure stays until reopened.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_recovery_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex mark_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one mark is written at a time
  std::optional<CommitMark> last_mark_ ABSL_GUARDED_BY(mark_mutex_);
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_STORE_IMPL_H_
