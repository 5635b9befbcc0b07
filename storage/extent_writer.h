// Appends extents to the newest file. A range is reserved under a lock and written outside it, so
// appends run side by side; Sync makes durable whatever was complete when it was called.
#ifndef LARDER_STORAGE_EXTENT_WRITER_H_
#define LARDER_STORAGE_EXTENT_WRITER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "storage/extent_ledger.h"
#include "storage/extent_store.h"
#include "storage/extent_system.h"
#include "storage/posix_file.h"

namespace larder::storage {

// Starts a file of its own at the first append: files written before are never appended to.
//
// After a failed fdatasync the kernel may drop the pages and report success the next time (Rebello
// et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So a file whose sync
// failed is given up, and Sync keeps failing while extents that it may have lost are not forgotten.
//
// Thread-safe. Lock order: sync_mutex_, mutex_, then the ledger's.
class ExtentWriter {
 public:
  ExtentWriter(ExtentSystem& system, std::string directory, uint64_t file_bytes, ExtentLedger* ledger);

  // ResourceExhausted when the disk is full; the range is given up.
  absl::StatusOr<ExtentPointer> Append(absl::string_view payload);
  absl::Status Sync();
  void Forget(const ExtentPointer& pointer);
  // Starts a new file with the next append, and waits for appends under way.
  void Seal();
  bool IsIdle(uint32_t file) const;  // no append is under way in it
  // Synced bytes leave the page cache: for when reads pass it by.
  void DropSyncedPages(bool drop) { drop_pages_.store(drop, std::memory_order_relaxed); }

 private:
  // Its fields are guarded by the writer's mutex_, but for the first two, which never change.
  struct File {
    uint32_t number = 0;
    Descriptor fd{-1};
    uint64_t tail = 0;  // where the next extent goes
    int writing = 0;    // appends under way
    bool sealed = false, failed = false;
    // Offsets of complete extents: not durable, being synced, and lost to a failed sync.
    absl::flat_hash_set<uint64_t> written, syncing, lost;
  };
  struct Range {
    std::shared_ptr<File> file;
    uint64_t offset = 0, bytes = 0;
  };

  absl::StatusOr<Range> Reserve(uint64_t bytes);
  absl::Status StartFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SealCurrent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteRange(const Range& range, absl::string_view payload);
  absl::Status Finish(const Range& range, const ExtentPointer& pointer, const absl::Status& written);
  void GiveUp(const Range& range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SyncFile(File& file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status SyncNewNames() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckNothingLost() ABSL_LOCKS_EXCLUDED(mutex_);
  std::string Path(uint32_t file) const;

  ExtentSystem& system_;
  const std::string directory_;
  const uint64_t file_bytes_;
  ExtentLedger* const ledger_;
  std::atomic<bool> drop_pages_{false};

  absl::Mutex sync_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one sync at a time; others find it done
  mutable absl::Mutex mutex_;
  std::shared_ptr<File> current_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<File>> files_ ABSL_GUARDED_BY(mutex_);  // open, being written or synced
  bool new_names_ ABSL_GUARDED_BY(mutex_) = false;  // a file was created since the directory's sync
  bool names_failed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_WRITER_H_
