// How the store commits and keeps its mark.
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

}  // namespace

absl::StatusOr<uint64_t> StoreImpl::Write(WriteBatch batch, bool sync) {
  RETURN_IF_ERROR(CheckSpace(batch));
  return commits_.Write(batch, sync);
}

absl::StatusOr<uint64_t> StoreImpl::Apply(const std::vector<const WriteBatch*>& group, bool sync) {
  RETURN_IF_ERROR(RecoverIfFailed());
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  CommitRecord record{identity_, state()};  // only the leader changes the state
  const uint64_t first = record.state.commit + 1;
  size_t bytes = 256;
  for (const WriteBatch* batch : group) bytes += batch->bytes();
  rocksdb::WriteBatch physical(bytes);
  rocksdb::Status status;
  for (const WriteBatch* batch : group) {
    if (status.ok()) status = Replay(*batch, *rocks, &physical);
    record.state = Advance(record.state, *batch);
  }
  if (status.ok()) status = AppendCommitRecord(record, *rocks, &physical);
  if (!status.ok()) return FromRocks(status, absl::StrCat("assemble commit ", first));

  rocksdb::WriteOptions options;
  options.sync = sync;
  status = rocks->db()->Write(options, &physical);
  if (!status.ok()) return NoteFailure(status, absl::StrCat("write commit ", first));
  absl::MutexLock lock(&mutex_);
  state_ = record.state;
  if (sync) durable_commit_ = state_.commit;
  return first;
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
  return commits_.Exclusively([&]() -> absl::Status {
    absl::Status failure;
    {
      absl::MutexLock lock(&mutex_);
      *state = state_;
      failure = failure_;
    }
    // After a failed sync a second one may succeed although the pages are gone.
    if (!failure.ok()) return failure;
    ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
    rocksdb::WriteBatch batch;
    rocksdb::Status status = AppendCommitRecord({identity_, *state}, *rocks, &batch);
    rocksdb::WriteOptions synced;
    synced.sync = true;
    if (status.ok()) status = rocks->db()->Write(synced, &batch);
    if (!status.ok()) return NoteFailure(status, "sync the log");
    absl::MutexLock lock(&mutex_);
    durable_commit_ = state->commit;
    return absl::OkStatus();
  });
}

absl::StatusOr<ManifestPosition> StoreImpl::LiveManifest() const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  std::vector<std::string> files;
  ManifestPosition manifest;
  RETURN_IF_ERROR(FromRocks(rocks->db()->GetLiveFiles(files, &manifest.bytes, /*flush_memtable=*/false),
                            "list the store's files"));
  for (const std::string& file : files) {
    absl::string_view name = file;
    if (absl::ConsumePrefix(&name, "/MANIFEST-") && absl::SimpleAtoi(name, &manifest.number)) return manifest;
  }
  return absl::InternalError("RocksDB's live files hold no manifest");
}

absl::Status StoreImpl::WriteMark() {
  RETURN_IF_ERROR(Open().status());
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
