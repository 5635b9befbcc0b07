// How the store commits, recovers from a full disk, and keeps its mark.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "storage/schema.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"
#include "storage/value_trailer.h"
#include "storage/write_batch.h"

namespace larder::storage {
namespace {

constexpr absl::Duration kRecoveryInterval = absl::Milliseconds(200);

rocksdb::Status Replay(const WriteBatch& batch, const Rocks& rocks, rocksdb::WriteBatch* out) {
  rocksdb::Status status;
  BatchReader reader(batch.rep());
  while (status.ok() && reader.Next()) {
    rocksdb::ColumnFamilyHandle* const table = rocks.handle(reader.table());
    const rocksdb::Slice first = ToSlice(reader.first()), second = ToSlice(reader.second());
    switch (reader.op()) {
      case BatchOp::kPut:
        status = out->Put(table, first, second);
        break;
      case BatchOp::kDelete:
        status = out->Delete(table, first);
        break;
      case BatchOp::kDeleteRange:
        if (reader.first() < reader.second()) status = out->DeleteRange(table, first, second);
        break;
    }
  }
  return status;
}

rocksdb::Status AppendCommitRecord(const CommitRecord& record, const Rocks& rocks, rocksdb::WriteBatch* out) {
  std::string value = EncodeCommitRecord(record);
  AppendTrailer(Table::kMeta, kCommitKey, value, &value);
  return out->Put(rocks.handle(Table::kMeta), ToSlice(kCommitKey), value);
}

bool MostlyDeletes(const WriteBatch& batch) {
  int64_t deletes = 0;
  BatchReader reader(batch.rep());
  while (reader.Next()) deletes += reader.op() == BatchOp::kPut ? -1 : 1;
  return deletes > 0;
}

}  // namespace

absl::StatusOr<uint64_t> StoreImpl::Write(WriteBatch batch, bool sync) {
  RETURN_IF_ERROR(CheckOpen());
  const absl::Time patience = absl::Now() + options_.full_disk_patience;
  while (true) {
    RETURN_IF_ERROR(CheckSpace(batch));
    absl::StatusOr<uint64_t> commit = commits_.Write(batch, sync);
    // There is room, or the batch makes some: RocksDB is only not yet over an earlier full disk (a
    // flush or a compaction that met it). What failed was not applied: RecoverIfFailed read the state.
    if (!absl::IsResourceExhausted(commit.status()) || absl::Now() >= patience) return commit;
    absl::SleepFor(kRecoveryInterval / 4);
  }
}

absl::Status StoreImpl::FlushPatiently() {
  const absl::Time patience = absl::Now() + options_.full_disk_patience;
  absl::Status status = rocks_->Flush();
  while (absl::IsResourceExhausted(status) && absl::Now() < patience) {
    absl::SleepFor(kRecoveryInterval / 4);
    static_cast<void>(rocks_->db()->Resume());  // the flush tells whether it helped
    status = rocks_->Flush();
  }
  return status;
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

absl::StatusOr<uint64_t> StoreImpl::Apply(const std::vector<const WriteBatch*>& group, bool sync) {
  RETURN_IF_ERROR(RecoverIfFailed());
  CommitRecord record{identity_, state()};  // only the leader changes the state
  const uint64_t first = record.state.commit + 1;
  size_t bytes = 256;
  for (const WriteBatch* batch : group) bytes += batch->bytes();
  rocksdb::WriteBatch physical(bytes);
  rocksdb::Status status;
  for (const WriteBatch* batch : group) {
    if (status.ok()) status = Replay(*batch, *rocks_, &physical);
    record.state = Advance(record.state, *batch);
  }
  if (status.ok()) status = AppendCommitRecord(record, *rocks_, &physical);
  if (!status.ok()) return FromRocks(status, absl::StrCat("assemble commit ", first));
  RETURN_IF_ERROR(KeepSomethingInMemory({identity_, state()}));

  rocksdb::WriteOptions options;
  options.sync = sync;
  status = rocks_->db()->Write(options, &physical);
  if (!status.ok()) return NoteFailure(status, absl::StrCat("write commit ", first));
  absl::MutexLock lock(&mutex_);
  state_ = record.state;
  if (sync) durable_commit_ = state_.commit;
  return first;
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

absl::Status StoreImpl::RecoverIfFailed() {
  {
    absl::MutexLock lock(&mutex_);
    if (failure_.ok()) return absl::OkStatus();
    const absl::Time now = absl::Now();
    if (!absl::IsResourceExhausted(failure_) || now < next_recovery_) return failure_;
    next_recovery_ = now + kRecoveryInterval;
  }
  const rocksdb::Status resumed = rocks_->db()->Resume();
  if (resumed.IsIOError() && !resumed.IsNoSpace()) return NoteFailure(resumed, "resume after a full disk");
  const absl::StatusOr<CommitRecord> record = ReadCommitRecord(*rocks_);
  absl::MutexLock lock(&mutex_);
  if (!resumed.ok() || !record.ok()) return failure_;
  state_ = record->state;
  durable_commit_ = state_.commit;
  failure_ = absl::OkStatus();
  return absl::OkStatus();
}

// RocksDB begins a new log after a failed write only if it has something in memory to flush; else it
// would go on refusing (rocksdb issues 11643, 12998). So there is always something: the record that
// is current anyway, past the log.
absl::Status StoreImpl::KeepSomethingInMemory(const CommitRecord& record) {
  uint64_t entries = 1;
  rocks_->db()->GetIntProperty(rocks_->handle(Table::kMeta),
                               rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries);
  if (entries > 0) return absl::OkStatus();
  rocksdb::WriteBatch batch;
  rocksdb::Status status = AppendCommitRecord(record, *rocks_, &batch);
  rocksdb::WriteOptions past_the_log;
  past_the_log.disableWAL = true;
  if (status.ok()) status = rocks_->db()->Write(past_the_log, &batch);
  return status.ok() ? absl::OkStatus() : NoteFailure(status, "write the commit record");
}

CommitState StoreImpl::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void StoreImpl::MarkLoop() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.mark_interval)) return;
    }
    WriteMark().IgnoreError();  // the old mark holds; tried again next time, and Close reports
  }
}

// By a synced write of the record that is current anyway: DB::SyncWAL() aborts (live asserts) on a log
// whose writer failed before.
absl::Status StoreImpl::MakeDurable(CommitState* state) {
  {
    absl::MutexLock lock(&mutex_);
    *state = state_;
    if (durable_commit_ >= state_.commit) return absl::OkStatus();
  }
  return commits_.Exclusively([&] {
    absl::Status failure;
    {
      absl::MutexLock lock(&mutex_);
      *state = state_;
      failure = failure_;
    }
    // After a failed sync a second one may succeed although the pages are gone.
    if (!failure.ok()) return failure;
    RETURN_IF_ERROR(KeepSomethingInMemory({identity_, *state}));
    rocksdb::WriteBatch batch;
    rocksdb::Status status = AppendCommitRecord({identity_, *state}, *rocks_, &batch);
    rocksdb::WriteOptions synced;
    synced.sync = true;
    if (status.ok()) status = rocks_->db()->Write(synced, &batch);
    if (!status.ok()) return NoteFailure(status, "sync the log");
    absl::MutexLock lock(&mutex_);
    durable_commit_ = state->commit;
    return absl::OkStatus();
  });
}

absl::StatusOr<ManifestPosition> StoreImpl::LiveManifest() const {
  std::vector<std::string> files;
  ManifestPosition manifest;
  RETURN_IF_ERROR(FromRocks(rocks_->db()->GetLiveFiles(files, &manifest.bytes, /*flush_memtable=*/false),
                            "list the store's files"));
  for (const std::string& file : files) {
    absl::string_view name = file;
    if (absl::ConsumePrefix(&name, "/MANIFEST-") && absl::SimpleAtoi(name, &manifest.number)) return manifest;
  }
  return absl::InternalError("RocksDB's live files hold no manifest");
}

absl::Status StoreImpl::WriteMark() {
  RETURN_IF_ERROR(CheckOpen());
  absl::MutexLock lock(&mark_mutex_);
  CommitMark mark{{identity_, {}}, {}};
  RETURN_IF_ERROR(MakeDurable(&mark.record.state));
  ASSIGN_OR_RETURN(mark.manifest, LiveManifest());
  if (last_mark_ && last_mark_->manifest == mark.manifest &&
      SameState(last_mark_->record.state, mark.record.state)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(WriteMarkFile(files_, layout_.committed, mark));
  last_mark_ = mark;
  return absl::OkStatus();
}

}  // namespace larder::storage
