// Reads and checks many extents at once.
#ifndef LARDER_STORAGE_EXTENT_READER_H_
#define LARDER_STORAGE_EXTENT_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/extent_fds.h"
#include "storage/extent_ledger.h"
#include "storage/extent_store.h"
#include "storage/pread_pool.h"
#include "storage/read_queue.h"

namespace larder::storage {

// An extent is cut into pieces of at most a slot; pieces of all extents are in flight together, and
// each extent's are taken in order, so that its checksum is computed while the bytes are in cache
// and its string is written once. Memory beside the results: `queue_depth` slots a queue, as many
// queues as there are processors (2 to 8); further readers wait for a queue.
//
// Thread-safe; `ledger` and `fds` must outlive it.
class ExtentReader {
 public:
  ExtentReader(const ExtentStoreOptions& options, const ExtentLedger* ledger, ExtentFds* fds);

  bool io_uring() const { return io_uring_; }

  enum class Padding { kIgnore, kMustBeZero };
  // As ExtentStore::Read.
  std::vector<absl::StatusOr<std::string>> Read(absl::Span<const ExtentPointer> pointers,
                                                Padding padding = Padding::kIgnore);
  // As ExtentStore::Stream.
  void Stream(absl::Span<const ExtentPointer> pointers, ExtentStore::Sink sink, ExtentStore::Start start);

 private:
  void ReadAll(absl::Span<const ExtentPointer> pointers, ExtentStore::Sink sink, Padding padding,
               size_t first_pieces);
  absl::StatusOr<std::shared_ptr<const ReadHandle>> Locate(const ExtentPointer& pointer);
  absl::StatusOr<std::unique_ptr<ReadQueue>> MakeQueue();

  const uint32_t queue_depth_;
  const ExtentLedger* const ledger_;
  ExtentFds* const fds_;
  bool io_uring_ = false;
  std::unique_ptr<PreadPool> preads_;
  std::unique_ptr<ReadQueuePool> queues_;  // after what it uses
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_READER_H_
