// What each extent file holds: its end, its live bytes, and the extents whose fate is not yet known.
//
// The truth about live extents is Table::kExtents. The ledger follows it in memory, but a batch that
// was given Reference() or Release() may be written later, or never; so both leave a note, and a
// note goes only when the table has been seen to agree:
//   pending    appended, and no row seen yet. A file with one is never collected.
//   releasing  released, and the row is still there as far as we know.
// Files with notes are recounted from the table before garbage is collected.
#ifndef LARDER_STORAGE_EXTENT_LEDGER_H_
#define LARDER_STORAGE_EXTENT_LEDGER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "storage/extent_format.h"

namespace larder::storage {

// Bytes are whole blocks: what an extent takes on disk.
struct ExtentAccount {
  uint64_t end = 0;  // of the last extent, or of the file as found at open
  uint64_t live_bytes = 0, live_extents = 0;
  bool sealed = false;   // nothing more is appended to it
  bool missing = false;  // rows point into it, but it is not on disk
  bool pinned = false;   // holds something that garbage collection must not touch: an unreadable
                         // row, an extent that fails its checksum
};

// Thread-safe.
class ExtentLedger {
 public:
  // `next_file`: the first number never given to a file; Add moves it on.
  void SetNextFile(uint32_t next_file);
  uint32_t next_file() const;
  bool HasEverBeen(uint32_t file) const { return file != 0 && file < next_file(); }

  void Add(uint32_t file, const ExtentAccount& account);
  void Remove(uint32_t file);
  void Seal(uint32_t file);
  void Pin(uint32_t file);

  void Appended(const ExtentPointer& pointer);
  void Forgotten(const ExtentPointer& pointer);
  void Released(const ExtentPointer& pointer);
  // The row of an appended extent is in the store.
  void Referenced(const ExtentPointer& pointer);
  // The row of a live extent has gone from the store.
  void Dropped(const ExtentPointer& pointer);
  // True if a batch, written or not, was given Release() for it.
  bool IsReleasing(const ExtentPointer& pointer) const;

  // `rows` are all of the file's rows. Counts them, and drops the notes that they settle. Not to be
  // called beside itself, Referenced or Dropped; the other calls may come while the rows are read:
  // the count may then be too low until the next time, never too high.
  void Recount(uint32_t file, const std::vector<ExtentPointer>& rows);
  // Files that have notes.
  std::vector<uint32_t> FilesToRecount() const;

  std::optional<ExtentAccount> Find(uint32_t file) const;
  bool HasPending(uint32_t file) const;
  struct FileAccount {
    uint32_t file;
    ExtentAccount account;
  };
  std::vector<FileAccount> All() const;  // in order of file

 private:
  struct State {
    ExtentAccount account;
    absl::flat_hash_map<uint64_t, uint64_t> pending, releasing;  // offset -> bytes
  };
  State* FindState(uint32_t file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const State* FindState(uint32_t file) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  uint32_t next_file_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::btree_map<uint32_t, State> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_LEDGER_H_
