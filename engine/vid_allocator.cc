#include "engine/vid_allocator.h"

#include "engine/keys.h"
#include "storage/status_macros.h"

namespace larder {

using storage::RecordReader;
using storage::RecordWriter;
using storage::Table;

absl::Status VidAllocator::Load() {
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<std::string> bytes = store_->Get(Table::kMeta, VidLimitKey(collection_));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  RETURN_IF_ERROR(bytes.status());
  RecordReader in(*bytes, 1, "vid limit");
  next_ = limit_ = in.U64();
  return in.status();
}

absl::Status VidAllocator::WriteLimit(uint64_t limit) {
  RecordWriter out(1);
  out.U64(limit);
  storage::WriteBatch batch;
  batch.Put(Table::kMeta, VidLimitKey(collection_), std::move(out).Finish());
  RETURN_IF_ERROR(store_->Write(std::move(batch)).status());
  limit_ = limit;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> VidAllocator::Allocate(uint64_t count) {
  absl::MutexLock lock(&mutex_);
  if (next_ + count > limit_) RETURN_IF_ERROR(WriteLimit(next_ + count + kBlock));
  const uint64_t first = next_;
  next_ += count;
  return first;
}

uint64_t VidAllocator::next() const {
  absl::MutexLock lock(&mutex_);
  return next_;
}

absl::Status VidAllocator::Settle() {
  absl::MutexLock lock(&mutex_);
  return limit_ == next_ ? absl::OkStatus() : WriteLimit(next_);
}

}  // namespace larder
