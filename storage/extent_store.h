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

#include "absl/functional/function_ref.h"
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

struct ExtentStoreOptions {
  uint64_t file_bytes = 256ull << 20;  // a file is sealed when it reaches this; 8 KiB to 1 TiB
  uint32_t queue_depth = 64;           // reads in flight for one Read, 64 KiB each at most; 1 to 4,096
  bool allow_io_uring = true;          // false: the pread pool
  bool direct_io = true;               // O_DIRECT where the file system takes it
  absl::Status Validate() const;
};

// Bytes are whole 4 KiB blocks, as on disk; `bytes` less `live_bytes` is garbage and file headers.
// Appended extents count as live until they are forgotten or released.
struct ExtentStats {
  uint64_t files = 0, bytes = 0, live_bytes = 0, extents = 0;
  bool io_uring = false, direct_io = false;
};

// Thread-safe.
class ExtentStore {
 public:
  // `directory` is <db>/extents. Reads live bytes from `store`, which must outlive it; files that
  // hold nothing live, and tails past the last referenced extent, are reclaimed. A damaged or
  // missing file does not stop it: Read and Verify say DataLoss. FailedPrecondition for a file of a
  // later version.
  static absl::StatusOr<std::unique_ptr<ExtentStore>> Open(absl::string_view directory, Store* store,
                                                           const ExtentStoreOptions& options);
  virtual ~ExtentStore() = default;

  // Written but not yet durable. ResourceExhausted when the disk is full (nothing is leaked).
  virtual absl::StatusOr<ExtentPointer> Append(absl::string_view payload) = 0;
  // Makes durable everything appended before the call. After a failure it keeps failing until the
  // extents that may have been lost are forgotten.
  virtual absl::Status Sync() = 0;
  virtual void Reference(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch) = 0;
  virtual void Release(const ExtentPointer& pointer, WriteBatch* batch) = 0;
  // An append that will never be referenced (an aborted put).
  virtual void Forget(const ExtentPointer& pointer) = 0;

  // One result a pointer, in order; all in flight together. A checksum mismatch is DataLoss naming
  // file, offset, expected and found. NotFound when the file was collected since the pointer was
  // read: read the owner's record again.
  virtual std::vector<absl::StatusOr<std::string>> Read(absl::Span<const ExtentPointer> pointers) const = 0;

  // As Read, but hands each payload over in order, as soon as it is there, while the reads of those after
  // it are in flight; false ends it. A reader that may be slow to take them should take them aside: one
  // of the store's few queues is held until the last is taken.
  using Sink = absl::FunctionRef<bool(size_t index, absl::StatusOr<std::string> payload)>;
  // kFirstSoon: few reads are in flight until the first payload is there, so that it need not share the
  // device with all the others.
  enum class Start { kAllAtOnce, kFirstSoon };
  virtual void Stream(absl::Span<const ExtentPointer> pointers, Sink sink,
                      Start start = Start::kAllAtOnce) const = 0;

  // Copies live extents out of files that are less than half live and deletes those files.
  // `relocate` must patch, in `batch`, the record of `owner`: it holds `from` and shall hold `to`;
  // false = the owner no longer holds it, and a row that is still there is dropped. Called with no
  // lock held, once an extent; the batch, which already moves the row, is written when it returns.
  // A caller whose own writers could change the record in between writes the batch itself, under
  // its lock, and leaves `*batch = WriteBatch()`.
  using Relocate = std::function<absl::StatusOr<bool>(const ExtentOwner& owner, const ExtentPointer& from,
                                                      const ExtentPointer& to, WriteBatch* batch)>;
  // Returns the bytes freed, less those copied. Extents that fail their checksum stay where they are,
  // with their file; DataLoss names them when all else is done. One call at a time does the work, a
  // second waits. It may be killed at any point: nothing is lost, and the next call goes on.
  virtual absl::StatusOr<uint64_t> CollectGarbage(const Relocate& relocate) = 0;

  // Recomputes every live extent's checksum; also finds overlaps, extents past a file's end, and
  // damaged headers and padding. Returns the number of extents looked at.
  virtual absl::StatusOr<uint64_t> Verify(std::vector<std::string>* problems) const = 0;
  // Hard-links (or copies, to another file system) every file into `target`, which is created; for
  // backup, under Store::Checkpoint. The linked files are never written again.
  virtual absl::Status LinkInto(absl::string_view target) const = 0;
  virtual ExtentStats Stats() const = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_STORE_H_
