// One call's reads on one queue: cuts extents into pieces, keeps the queue full, puts the pieces
// together and checks them.
#ifndef LARDER_STORAGE_EXTENT_BATCH_READ_H_
#define LARDER_STORAGE_EXTENT_BATCH_READ_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/extent_fds.h"
#include "storage/extent_store.h"
#include "storage/read_queue.h"

namespace larder::storage {

// Single-threaded; lives for one call.
class ExtentBatchRead {
 public:
  // `check_padding`: the bytes from the payload's end to the next block must be there, and zero.
  // `first_pieces`: at most so many are in flight until the first extent is there, so that it does not share
  // the device with all the others.
  ExtentBatchRead(ReadQueue* queue, ExtentFds* fds, bool check_padding, size_t first_pieces = SIZE_MAX);

  // The pointer must have been checked against its file's size.
  void Add(const ExtentPointer& pointer, std::shared_ptr<const ReadHandle> handle);
  // One that cannot be read: its turn gives `why`.
  void AddFailed(const ExtentPointer& pointer, absl::Status why);
  // Reads all that was added, and hands it over in the order in which it was, each as soon as it can be,
  // until `sink` says false. An error is the queue's own: it must be dropped, and extents that were not
  // complete have failed with it.
  absl::Status Run(ExtentStore::Sink sink);

 private:
  struct Extent {
    ExtentPointer pointer;
    std::shared_ptr<const ReadHandle> handle;
    uint64_t bytes = 0;      // to be read: whole blocks
    uint64_t submitted = 0;  // bytes given to the queue, from the start
    uint64_t consumed = 0;   // bytes taken over, from the start
    uint32_t crc32c = 0;     // of the payload consumed so far
    std::string payload;
    std::vector<uint32_t> waiting;  // slots read before their turn
    absl::Status status;
  };
  struct Piece {
    size_t extent = 0;
    uint64_t start = 0;   // within the extent
    uint32_t length = 0;  // to be read
    uint32_t done = 0;    // read so far
  };

  absl::Status ReadAll(ExtentStore::Sink sink);
  absl::Status Fill();
  void Deliver(ExtentStore::Sink sink);
  size_t MostInFlight() const {
    return extents_.empty() || IsDone(extents_[0]) ? pieces_.size() : first_pieces_;
  }
  bool IsDone(const Extent& extent) const { return !extent.status.ok() || extent.consumed == extent.bytes; }
  absl::Status SubmitRest(uint32_t slot);
  absl::Status Complete(const ReadQueue::Completion& completion);
  void ConsumeInOrder(uint32_t slot);
  void Consume(uint32_t slot);
  void Finish(Extent& extent);
  void Fail(Extent& extent, absl::Status status);
  void Free(uint32_t slot) { free_slots_.push_back(slot); }

  ReadQueue* const queue_;
  ExtentFds* const fds_;
  const bool check_padding_;
  const size_t first_pieces_;
  std::vector<Extent> extents_;
  size_t next_extent_ = 0;     // the first not wholly submitted
  size_t delivered_ = 0;       // extents
  bool stopped_ = false;       // the sink wants no more
  std::vector<Piece> pieces_;  // by slot
  std::vector<uint32_t> free_slots_;
  size_t in_flight_ = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_BATCH_READ_H_
