// How the store meets a full disk and gets over it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"
#include "storage/write_batch.h"

namespace larder::storage {
namespace {

constexpr absl::Duration kRecoveryInterval = absl::Milliseconds(200);
// New readers wait meanwhile: long enough for a point read, not for who holds an iterator.
constexpr absl::Duration kWaitForReaders = absl::Milliseconds(20);

bool MostlyDeletes(const WriteBatch& batch) {
  int64_t deletes = 0;
  BatchReader reader(batch.rep());
  while (reader.Next()) deletes += reader.op() == BatchOp::kPut ? -1 : 1;
  return deletes > 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Rocks>> StoreImpl::Open() const {
  absl::ReaderMutexLock rocks_lock(&rocks_mutex_);
  if (rocks_ != nullptr) return rocks_;
  absl::MutexLock lock(&mutex_);
  if (!stopping_ && !failure_.ok()) return failure_;
  return absl::FailedPreconditionError(absl::StrCat(layout_.directory, ": the store is closed"));
}

// Refuses before RocksDB hits the end of the disk: it can then still flush what it has in memory,
// and batches that mostly delete still pass.
absl::Status StoreImpl::CheckSpace(const WriteBatch& batch) const {
  const absl::StatusOr<DiskSpace> space = files_.Space(layout_.rocks);
  if (!space.ok() || space->capacity == 0) return absl::OkStatus();  // a file system that cannot tell
  const uint64_t reserve = std::min(4 * options_.write_buffer_bytes, space->capacity / 8);
  if (space->available >= reserve + batch.bytes() || MostlyDeletes(batch)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(layout_.directory, ": ", space->available,
                                                   " bytes of disk left, a write of ", batch.bytes(),
                                                   " leaves less than the reserve of ", reserve));
}

absl::Status StoreImpl::NoteFailure(const rocksdb::Status& status, absl::string_view what) {
  absl::Status failure = FromRocks(status, absl::StrCat(layout_.directory, ": ", what));
  if (!absl::IsResourceExhausted(failure)) {
    failure =
        absl::Status(failure.code(), absl::StrCat(failure.message(), "; writes stop until it is reopened"));
  }
  absl::MutexLock lock(&mutex_);
  if (failure_.ok() || absl::IsResourceExhausted(failure_)) failure_ = failure;
  return failure_;
}

// Called by one thread at a time: the leader of a commit, or who excludes them.
absl::Status StoreImpl::RecoverIfFailed() {
  if (const auto rocks = Open(); rocks.ok() && (*rocks)->met_full_disk()) {
    NoteFailure(rocksdb::Status::NoSpace("a flush or a compaction"), "write").IgnoreError();
  }
  {
    absl::MutexLock lock(&mutex_);
    if (failure_.ok()) return absl::OkStatus();
    const absl::Time now = absl::Now();
    if (!absl::IsResourceExhausted(failure_) || now < next_recovery_) return failure_;
    next_recovery_ = now + kRecoveryInterval;
  }
  const absl::Status reopened = Reopen();
  absl::MutexLock lock(&mutex_);
  if (reopened.ok() || absl::IsDataLoss(reopened)) failure_ = reopened;
  if (reopened.ok()) next_recovery_ = absl::InfinitePast();
  return failure_;
}

// Opens RocksDB anew, if there is room and nobody reads: it replays its log up to the write that failed.
absl::Status StoreImpl::Reopen() {
  RETURN_IF_ERROR(CheckSpace(WriteBatch()));
  absl::MutexLock rocks_lock(&rocks_mutex_);
  const absl::Time patience = absl::Now() + kWaitForReaders;
  while (rocks_.use_count() > 1) {
    if (absl::Now() > patience) return absl::UnavailableError("readers hold the store");
    absl::SleepFor(absl::Milliseconds(1));
  }
  rocks_.reset();
  absl::StatusOr<std::unique_ptr<Rocks>> rocks =
      Rocks::Open(layout_.rocks, options_, env_, Rocks::Mode::kExisting);
  const absl::Status opened = rocks.status();
  // Still full, whatever the file system says (a quota): reads go on.
  if (!opened.ok()) rocks = Rocks::Open(layout_.rocks, options_, env_, Rocks::Mode::kReadOnly);
  if (rocks.ok()) rocks_ = *std::move(rocks);
  RETURN_IF_ERROR(opened);
  ASSIGN_OR_RETURN(const CommitRecord record, ReadCommitRecord(*rocks_));
  absl::MutexLock lock(&mutex_);
  if (record.state.commit < state_.commit) {
    return absl::DataLossError(absl::StrCat(layout_.directory, ": after a full disk commit ",
                                            record.state.commit, " is the last, expected ", state_.commit));
  }
  state_ = record.state;
  durable_commit_ = state_.commit;  // opening flushed what it replayed
  return absl::OkStatus();
}

}  // namespace larder::storage
