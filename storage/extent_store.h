// Extents: checksummed runs of bytes in large append-only files, for every payload too big for the
// store (KV layers now; postings and full vectors later). FORMAT.md has the bytes.
//
// Protocol: Append (any number), Sync, then one Store::Write whose batch was given Reference() for
// every pointer. An extent without a reference is an orphan, and its space is reclaimed. Release()
// in a batch makes it garbage. Files below half live are copied and dropped by CollectGarbage().
#ifndef LARDER_STORAGE_EXTENT_STORE_H_
#define LARDER_STORAGE_EXTENT_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "storage/store.h"

namespace larder::storage {

struct ExtentPointer {
  uint32_t file = 0;
  uint64_t offset = 0;  // 4 KiB aligned
  uint64_t length = 0;  // payload bytes
  uint32_t crc32c = 0;  // of the payload
  friend bool operator==(const ExtentPointer&, const ExtentPointer&) = default;
};
// 24 bytes, fixed; for records that hold pointers.
void EncodePointer(const ExtentPointer& pointer, std::string* out);
absl::StatusOr<ExtentPointer> DecodePointer(absl::string_view bytes);

// Who holds an extent: the table and key of the record that contains its pointer.
struct ExtentOwner {
  Table table = Table::kKvEntries;
  std::string key;
};

struct ExtentMove {
  ExtentPointer from, to;
};
// Let go once the batch has been written, or will not be.
using RelocateGuard = std::shared_ptr<const void>;

struct ExtentStoreOptions {
  uint64_t file_bytes = 256ull << 20;  // a file is sealed when it reaches this
  uint32_t queue_depth = 64;           // reads in flight
  bool allow_io_uring = true;          // false: the pread pool
  bool direct_io = true;               // O_DIRECT where the file system takes it
};

struct ExtentStats {
  uint64_t files = 0, bytes = 0, live_bytes = 0, extents = 0;
  bool io_uring = false, direct_io = false;
};

// Thread-safe.
class ExtentStore {
 public:
  // `directory` is <db>/extents. Reads live bytes from `store`, which must outlive it; files that
  // hold nothing live, and tails past the last referenced extent, are reclaimed.
  static absl::StatusOr<std::unique_ptr<ExtentStore>> Open(absl::string_view directory, Store* store,
                                                           const ExtentStoreOptions& options);
  virtual ~ExtentStore() = default;

  // Written but not yet durable. ResourceExhausted when the disk is full (nothing is leaked).
  virtual absl::StatusOr<ExtentPointer> Append(absl::string_view payload) = 0;
  virtual absl::Status Sync() = 0;  // everything appended before the call
  virtual void Reference(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch) = 0;
  virtual void Release(const ExtentPointer& pointer, WriteBatch* batch) = 0;
  // An append that will never be referenced (an aborted put).
  virtual void Forget(const ExtentPointer& pointer) = 0;

  // One result a pointer, in order; all in flight together. A checksum mismatch is DataLoss naming
  // file, offset, expected and found. NotFound when the file was collected since the pointer was
  // read: read the owner's record again.
  virtual std::vector<absl::StatusOr<std::string>> Read(absl::Span<const ExtentPointer> pointers) const = 0;

  // Copies live extents out of files that are less than half live and deletes those files.
  // `relocate` gets every extent of one owner that moves out of one file, once, and must patch, in
  // `batch`, the owner's record: it holds each `from` and shall hold each `to`. It returns a guard that
  // keeps the record from being changed by others until the batch, which holds this owner's moves only,
  // has been written; null = the owner no longer holds them. Called with no lock held.
  using Relocate = std::function<absl::StatusOr<RelocateGuard>(
      const ExtentOwner& owner, absl::Span<const ExtentMove> moves, WriteBatch* batch)>;
  virtual absl::StatusOr<uint64_t> CollectGarbage(const Relocate& relocate) = 0;  // bytes freed

  // Recomputes every live extent's checksum; also finds overlaps and extents past a file's end.
  virtual absl::StatusOr<uint64_t> Verify(std::vector<std::string>* problems) const = 0;
  // Hard-links (or copies) every file into `target`; for backup, under Store::Checkpoint.
  virtual absl::Status LinkInto(absl::string_view target) const = 0;
  virtual ExtentStats Stats() const = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_STORE_H_
