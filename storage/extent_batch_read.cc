#include "storage/extent_batch_read.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/crc32c.h"
#include "storage/extent_format.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

absl::Status TooShort(const ExtentPointer& pointer, uint64_t bytes_there) {
  return absl::DataLossError(absl::StrCat(DescribeExtent(pointer), ": the file ends at byte ",
                                          pointer.offset + bytes_there, ", expected ",
                                          pointer.offset + pointer.length, " or more"));
}

// An exception would leave reads in flight into buffers that others are given.
bool Reserve(uint64_t bytes, std::string* payload) {
  try {
    payload->reserve(bytes);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  } catch (const std::length_error&) {
    return false;
  }
}

}  // namespace

ExtentBatchRead::ExtentBatchRead(ReadQueue* queue, ExtentFds* fds, bool check_padding, size_t first_pieces)
    : queue_(queue),
      fds_(fds),
      check_padding_(check_padding),
      first_pieces_(first_pieces),
      pieces_(queue->buffers().slots()) {
  for (uint32_t slot = queue->buffers().slots(); slot-- > 0;) free_slots_.push_back(slot);
}

void ExtentBatchRead::Add(const ExtentPointer& pointer, std::shared_ptr<const ReadHandle> handle) {
  Extent& extent = extents_.emplace_back();
  extent.pointer = pointer;
  extent.handle = std::move(handle);
  extent.bytes = PaddedExtentBytes(pointer.length);
}

void ExtentBatchRead::AddFailed(const ExtentPointer& pointer, absl::Status why) {
  Extent& extent = extents_.emplace_back();
  extent.pointer = pointer;
  extent.status = std::move(why);
}

absl::Status ExtentBatchRead::Run(ExtentStore::Sink sink) {
  const absl::Status broken = ReadAll(sink);
  if (!broken.ok()) {
    for (Extent& extent : extents_) {
      if (!IsDone(extent)) Fail(extent, broken);
    }
  }
  Deliver(sink);
  return broken;
}

absl::Status ExtentBatchRead::ReadAll(ExtentStore::Sink sink) {
  std::vector<ReadQueue::Completion> done;
  while (true) {
    RETURN_IF_ERROR(Fill());
    // The device is at work while the sink is.
    RETURN_IF_ERROR(queue_->Flush());
    Deliver(sink);
    if (in_flight_ == 0 && (stopped_ || next_extent_ == extents_.size())) return absl::OkStatus();
    if (in_flight_ == 0) continue;
    done.clear();
    RETURN_IF_ERROR(queue_->Wait(&done));
    for (const ReadQueue::Completion& completion : done) RETURN_IF_ERROR(Complete(completion));
  }
}

// An extent is handed over once, and those before it first.
void ExtentBatchRead::Deliver(ExtentStore::Sink sink) {
  while (!stopped_ && delivered_ < extents_.size() && IsDone(extents_[delivered_])) {
    const size_t index = delivered_++;
    Extent& extent = extents_[index];
    stopped_ = extent.status.ok() ? !sink(index, std::move(extent.payload)) : !sink(index, extent.status);
  }
}

absl::Status ExtentBatchRead::Fill() {
  while (!stopped_ && in_flight_ < MostInFlight() && !free_slots_.empty() && next_extent_ < extents_.size()) {
    Extent& extent = extents_[next_extent_];
    if (!extent.status.ok() || extent.submitted == extent.bytes) {
      ++next_extent_;
      continue;
    }
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    const uint64_t length =
        std::min<uint64_t>(extent.bytes - extent.submitted, queue_->buffers().slot_bytes());
    pieces_[slot] = {
        .extent = next_extent_, .start = extent.submitted, .length = static_cast<uint32_t>(length)};
    extent.submitted += length;
    RETURN_IF_ERROR(SubmitRest(slot));
    ++in_flight_;
  }
  return absl::OkStatus();
}

absl::Status ExtentBatchRead::SubmitRest(uint32_t slot) {
  const Piece& piece = pieces_[slot];
  const Extent& extent = extents_[piece.extent];
  return queue_->Submit(slot, extent.handle->fd.get(), extent.pointer.offset + piece.start + piece.done,
                        piece.done, piece.length - piece.done);
}

absl::Status ExtentBatchRead::Complete(const ReadQueue::Completion& completion) {
  const uint32_t slot = completion.slot;
  Piece& piece = pieces_[slot];
  Extent& extent = extents_[piece.extent];
  if (extent.status.ok()) {
    if (completion.result == -EAGAIN || completion.result == -EINTR) return SubmitRest(slot);
    if (completion.result == -EINVAL && extent.handle->direct) {
      // The file opened with O_DIRECT, but cannot be read so in blocks of ours.
      fds_->GiveUpDirect();
      absl::StatusOr<std::shared_ptr<const ReadHandle>> plain = fds_->Get(extent.pointer.file);
      if (plain.ok()) {
        extent.handle = *std::move(plain);
        return SubmitRest(slot);
      }
    }
    if (completion.result > 0) piece.done += static_cast<uint32_t>(completion.result);
    // A short read goes on, until one of zero bytes tells the file's end; with O_DIRECT, ending
    // off a block tells it as well.
    const bool at_end = extent.handle->direct && piece.done % kExtentBlockBytes != 0;
    if (completion.result > 0 && piece.done < piece.length && !at_end) return SubmitRest(slot);
  }
  --in_flight_;
  if (completion.result < 0) {
    Fail(extent, absl::UnavailableError(
                     absl::StrCat(DescribeExtent(extent.pointer), ": read: ", strerror(-completion.result))));
  }
  ConsumeInOrder(slot);
  return absl::OkStatus();
}

void ExtentBatchRead::ConsumeInOrder(uint32_t slot) {
  Extent& extent = extents_[pieces_[slot].extent];
  if (!extent.status.ok()) return Free(slot);
  if (pieces_[slot].start != extent.consumed) {
    extent.waiting.push_back(slot);
    return;
  }
  Consume(slot);
  // Its successors may have been faster.
  while (!extent.waiting.empty() && extent.status.ok()) {
    const auto next = std::find_if(extent.waiting.begin(), extent.waiting.end(),
                                   [&](uint32_t other) { return pieces_[other].start == extent.consumed; });
    if (next == extent.waiting.end()) return;
    const uint32_t found = *next;
    extent.waiting.erase(next);
    Consume(found);
  }
}

void ExtentBatchRead::Consume(uint32_t slot) {
  const Piece& piece = pieces_[slot];
  Extent& extent = extents_[piece.extent];
  const char* data = queue_->buffers().slot(slot);
  const uint64_t payload =
      std::min<uint64_t>(piece.length, extent.pointer.length - std::min(extent.pointer.length, piece.start));
  Free(slot);
  if (piece.done < (check_padding_ ? piece.length : payload)) {
    return Fail(extent, TooShort(extent.pointer, piece.start + piece.done));
  }
  if (piece.start == 0 && !Reserve(extent.pointer.length, &extent.payload)) {
    return Fail(extent, absl::ResourceExhaustedError(absl::StrCat(DescribeExtent(extent.pointer), ": no memory")));
  }
  extent.crc32c = Crc32c(absl::string_view(data, payload), extent.crc32c);
  extent.payload.append(data, payload);
  extent.consumed += piece.length;
  if (check_padding_ && std::any_of(data + payload, data + piece.length, [](char c) { return c != '\0'; })) {
    return Fail(extent,
                absl::DataLossError(absl::StrCat(DescribeExtent(extent.pointer), ": padding is not zero")));
  }
  if (extent.consumed == extent.bytes) Finish(extent);
}

void ExtentBatchRead::Finish(Extent& extent) {
  if (extent.crc32c == extent.pointer.crc32c) return;
  Fail(extent,
       absl::DataLossError(absl::StrFormat("%s: crc32c %08x, expected %08x", DescribeExtent(extent.pointer),
                                           extent.crc32c, extent.pointer.crc32c)));
}

void ExtentBatchRead::Fail(Extent& extent, absl::Status status) {
  extent.status.Update(std::move(status));
  std::string().swap(extent.payload);
  for (const uint32_t slot : extent.waiting) Free(slot);
  extent.waiting.clear();
}

}  // namespace larder::storage
