#include "storage/extent_reader.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "storage/extent_batch_read.h"
#include "storage/extent_format.h"
#include "storage/uring_io.h"

namespace larder::storage {
namespace {

// Small enough that 64 of them can be registered under the usual limit of 8 MiB locked memory, and
// large enough that one read's overhead does not show.
constexpr uint32_t kSlotBytes = 64 << 10;

// What is in flight of a stream until its first extent is there (kFirstSoon): 512 KiB.
constexpr size_t kFirstPieces = 8;

absl::Status OutOfBounds(const ExtentPointer& pointer, absl::string_view why) {
  return absl::DataLossError(absl::StrCat(DescribeExtent(pointer), ": ", why));
}

}  // namespace

ExtentReader::ExtentReader(const ExtentStoreOptions& options, const ExtentLedger* ledger, ExtentFds* fds)
    : queue_depth_(options.queue_depth),
      ledger_(ledger),
      fds_(fds),
      io_uring_(options.allow_io_uring && MakeUringQueue(1, kExtentBlockBytes).ok()),
      preads_(std::make_unique<PreadPool>(options.queue_depth)),
      queues_(std::make_unique<ReadQueuePool>([this] { return MakeQueue(); },
                                              std::clamp(std::thread::hardware_concurrency(), 2u, 8u))) {}

absl::StatusOr<std::unique_ptr<ReadQueue>> ExtentReader::MakeQueue() {
  if (io_uring_) {
    absl::StatusOr<std::unique_ptr<ReadQueue>> queue = MakeUringQueue(queue_depth_, kSlotBytes);
    if (queue.ok()) return queue;
    // Descriptors or locked memory ran out: threads serve this queue.
  }
  return MakePreadQueue(preads_.get(), queue_depth_, kSlotBytes);
}

absl::StatusOr<std::shared_ptr<const ReadHandle>> ExtentReader::Locate(const ExtentPointer& pointer) {
  if (!ledger_->HasEverBeen(pointer.file)) return OutOfBounds(pointer, "there never was such a file");
  if (pointer.offset < kExtentBlockBytes || pointer.offset % kExtentBlockBytes != 0) {
    return OutOfBounds(pointer, "the offset is not one that an extent can have");
  }
  const std::optional<ExtentAccount> account = ledger_->Find(pointer.file);
  const absl::Status collected =
      absl::NotFoundError(absl::StrCat(DescribeExtent(pointer), ": the file has been collected"));
  if (!account.has_value()) return collected;
  if (account->missing) return OutOfBounds(pointer, "the file is missing");
  if (pointer.offset > account->end || pointer.length > account->end - pointer.offset) {
    return OutOfBounds(pointer, absl::StrCat("it should end at byte ", pointer.offset + pointer.length,
                                             ", but the file ends at ", account->end));
  }
  absl::StatusOr<std::shared_ptr<const ReadHandle>> handle = fds_->Get(pointer.file);
  if (!absl::IsNotFound(handle.status())) return handle;
  // Collected between the look and the open, or taken away behind our back.
  return ledger_->Find(pointer.file).has_value() ? OutOfBounds(pointer, "the file is missing") : collected;
}

std::vector<absl::StatusOr<std::string>> ExtentReader::Read(absl::Span<const ExtentPointer> pointers,
                                                            Padding padding) {
  std::vector<absl::StatusOr<std::string>> results;
  results.reserve(pointers.size());
  const auto keep = [&](size_t, absl::StatusOr<std::string> payload) {
    results.push_back(std::move(payload));
    return true;
  };
  ReadAll(pointers, keep, padding, SIZE_MAX);
  return results;
}

void ExtentReader::Stream(absl::Span<const ExtentPointer> pointers, ExtentStore::Sink sink,
                          ExtentStore::Start start) {
  ReadAll(pointers, sink, Padding::kIgnore, start == ExtentStore::Start::kFirstSoon ? kFirstPieces : SIZE_MAX);
}

void ExtentReader::ReadAll(absl::Span<const ExtentPointer> pointers, ExtentStore::Sink sink, Padding padding,
                           size_t first_pieces) {
  if (pointers.empty()) return;
  absl::StatusOr<ReadQueuePool::Lease> queue = queues_->Acquire();
  if (!queue.ok()) {
    for (size_t i = 0; i < pointers.size() && sink(i, queue.status()); ++i) continue;
    return;
  }
  ExtentBatchRead batch(&**queue, fds_, padding == Padding::kMustBeZero, first_pieces);
  for (const ExtentPointer& pointer : pointers) {
    absl::StatusOr<std::shared_ptr<const ReadHandle>> handle = Locate(pointer);
    if (handle.ok()) {
      batch.Add(pointer, *std::move(handle));
    } else {
      batch.AddFailed(pointer, handle.status());
    }
  }
  if (!batch.Run(sink).ok()) queue->Drop();
}

}  // namespace larder::storage
