// Copying garbage collection: what lives in a file that is less than half live is copied to the
// newest file, and the file is deleted.
//
// For each file: copy (checksums verified), sync the copies, then one commit an extent, which moves
// the row and lets the owner patch its pointer. When the table has no row of the file left, commits
// so far are made durable, and the file goes. Killed anywhere in between, either the old pointer
// holds, and the old file is still there, or the new one, whose bytes were synced before.
#ifndef LARDER_STORAGE_EXTENT_GC_H_
#define LARDER_STORAGE_EXTENT_GC_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/extent_fds.h"
#include "storage/extent_ledger.h"
#include "storage/extent_reader.h"
#include "storage/extent_rows.h"
#include "storage/extent_store.h"
#include "storage/extent_writer.h"

namespace larder::storage {

// What a collection works on; all outlive it.
struct ExtentParts {
  std::string directory;
  Store* store = nullptr;
  ExtentLedger* ledger = nullptr;
  ExtentWriter* writer = nullptr;
  ExtentReader* reader = nullptr;
  ExtentFds* fds = nullptr;
};

// For tests: called after each step; an error stops the collection there and then, as a kill would.
enum class ExtentGcStep { kCopied, kSynced, kRelocated, kDurable, kDeleted };
using ExtentGcHook = std::function<absl::Status(ExtentGcStep)>;

// One run. Single-threaded; the caller sees to it that there is one at a time.
class ExtentCollector {
 public:
  ExtentCollector(const ExtentParts& parts, const ExtentStore::Relocate& relocate, const ExtentGcHook& hook)
      : parts_(parts), relocate_(relocate), hook_(hook) {}

  // As ExtentStore::CollectGarbage.
  absl::StatusOr<uint64_t> Run();

 private:
  struct Move {
    ExtentRow row;
    ExtentPointer to;
  };

  absl::Status Recount();
  std::vector<uint32_t> Candidates() const;
  absl::Status Collect(uint32_t file);
  absl::Status MoveRows(const std::vector<ExtentRow>& rows);
  // Appends copies of rows [begin, end) that are sound and wanted.
  absl::StatusOr<std::vector<Move>> Copy(const ExtentRow* begin, const ExtentRow* end);
  absl::Status Relocate(const Move& move);
  absl::Status DropOrphan(const ExtentRow& row);
  absl::Status DeleteFile(uint32_t file);
  void ForgetCopy(const ExtentPointer& copy);
  // Lets the run go on after DataLoss; any other error is handed back.
  absl::Status NoteDamage(uint32_t file, const absl::Status& status);
  absl::Status Step(ExtentGcStep step) const { return hook_ == nullptr ? absl::OkStatus() : hook_(step); }

  const ExtentParts parts_;
  const ExtentStore::Relocate& relocate_;
  const ExtentGcHook& hook_;
  uint64_t deleted_bytes_ = 0, copied_bytes_ = 0;
  absl::Status damage_;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_GC_H_
