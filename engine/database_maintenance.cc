// Looking after a database: figures, verify, compaction, backup.
#include <filesystem>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/database_impl.h"
#include "engine/keys.h"
#include "engine/verify.h"
#include "storage/backup.h"
#include "storage/commit_record.h"
#include "storage/posix_file.h"
#include "storage/schema.h"
#include "storage/status_macros.h"

namespace larder {

namespace fs = std::filesystem;
using storage::Counter;
using storage::Table;

namespace {

// Extents are collected once this share of the extents is new garbage.
constexpr uint64_t kCollectShare = 8;
// Code, stacks, buffers of reads and writes under way.
constexpr uint64_t kProcessBytes = 32 << 20;

}  // namespace

absl::StatusOr<DatabaseStats> DatabaseImpl::Stats() const {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  const storage::CommitState state = services_.store->state();
  DatabaseStats stats;
  stats.commit = state.commit;
  stats.documents = state.counters[static_cast<int>(Counter::kDocuments)];
  stats.chunks = state.counters[static_cast<int>(Counter::kChunks)];
  stats.kv_entries = state.counters[static_cast<int>(Counter::kKvEntries)];
  stats.store_bytes = services_.store->Stats().disk_bytes;
  const storage::ExtentStats extents = services_.extents->Stats();
  stats.extent_bytes = extents.bytes;
  stats.extent_live_bytes = extents.live_bytes;
  stats.index_bytes = storage::TreeBytes(services_.path + "/index");
  stats.resident_store_bytes = services_.store->Stats().memory_bytes;
  stats.memory_bytes = options_.memory_bytes;
  for (const auto& collection : Collections()) {
    ++stats.collections;
    stats.resident_directory_bytes += collection->directory_bytes();
    for (const VectorSpaceInfo& space : collection->Info().spaces) stats.resident_index_bytes += space.resident_bytes;
  }
  return stats;
}

namespace {

void CheckCounter(absl::string_view what, int64_t counter, uint64_t found, std::vector<std::string>* problems) {
  if (counter == static_cast<int64_t>(found)) return;
  problems->push_back(absl::StrCat("commit record: ", counter, " ", what, ", found ", found));
}

absl::StatusOr<uint64_t> CountRows(const storage::Store& store, const storage::Snapshot& snapshot, Table table) {
  uint64_t rows = 0;
  auto it = store.NewIterator(table, "", &snapshot);
  for (; it->Valid(); it->Next()) ++rows;
  RETURN_IF_ERROR(it->status());
  return rows;
}

absl::StatusOr<storage::CommitState> StateOf(const storage::Store& store, const storage::Snapshot& snapshot) {
  const auto bytes = store.Get(Table::kMeta, storage::kCommitKey, &snapshot);
  if (absl::IsNotFound(bytes.status())) return storage::CommitState();  // nothing was committed yet
  RETURN_IF_ERROR(bytes.status());
  ASSIGN_OR_RETURN(const storage::CommitRecord record, storage::DecodeCommitRecord(*bytes));
  return record.state;
}

}  // namespace

absl::StatusOr<VerifyReport> DatabaseImpl::Verify() const {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  VerifyReport report;
  const auto nothing = [](Table, absl::string_view, absl::string_view) {};
  ASSIGN_OR_RETURN(report.records, services_.store->Verify(nothing, &report.problems));
  const auto snapshot = services_.store->GetSnapshot();
  RecordVerifier verifier(*services_.store, *snapshot, &report.problems);
  RecordCounts counts;
  auto it = services_.store->NewIterator(Table::kCatalog, CollectionNameKey(""), snapshot.get());
  for (; it->Valid(); it->Next()) {
    const auto bytes = it->value();
    if (!bytes.ok()) continue;  // named by the store's verify
    const auto record = DecodeCollection(*bytes, absl::StrCat("catalog entry ", it->key()));
    if (record.ok()) {
      RETURN_IF_ERROR(verifier.Check(*record, &counts));
    } else {
      report.problems.push_back(std::string(record.status().message()));
    }
  }
  RETURN_IF_ERROR(it->status());
  ASSIGN_OR_RETURN(const storage::CommitState state, StateOf(*services_.store, *snapshot));
  CheckCounter("documents", state.counters[static_cast<int>(Counter::kDocuments)], counts.documents, &report.problems);
  CheckCounter("chunks", state.counters[static_cast<int>(Counter::kChunks)], counts.chunks, &report.problems);
  const auto chunk_exists = [&](const ChunkRef& chunk) -> absl::StatusOr<bool> {
    const auto row = services_.store->Get(Table::kChunks, ChunkKey(chunk.collection, chunk.vid), snapshot.get());
    if (absl::IsNotFound(row.status())) return false;
    RETURN_IF_ERROR(row.status());
    return true;
  };
  RETURN_IF_ERROR(services_.kv->Verify(snapshot.get(), chunk_exists, &report.problems).status());
  for (const auto& [what, table, counter] : {std::tuple("KV entries", Table::kKvEntries, Counter::kKvEntries),
                                             std::tuple("extents", Table::kExtents, Counter::kExtents)}) {
    ASSIGN_OR_RETURN(const uint64_t rows, CountRows(*services_.store, *snapshot, table));
    CheckCounter(what, state.counters[static_cast<int>(counter)], rows, &report.problems);
  }
  ASSIGN_OR_RETURN(report.extents, services_.extents->Verify(&report.problems));
  for (const auto& collection : Collections()) {
    absl::ReaderMutexLock lock(&collection->life);
    if (!collection->closed.ok()) continue;
    RETURN_IF_ERROR(collection->VerifyIndexes(&report.index_entries, &report.problems));
  }
  return report;
}

void DatabaseImpl::KeepBudget() {
  if (options_.memory_bytes == 0) return;
  uint64_t used = options_.block_cache_bytes + 2 * options_.write_buffer_bytes + kProcessBytes + services_.tree_memory.build_bytes;
  uint64_t most = 0;
  VectorSpace* largest = nullptr;
  const auto collections = Collections();  // hold the spaces
  for (const auto& collection : collections) {
    used += collection->directory_bytes();
    for (const auto& space : collection->spaces()) {
      const auto index = space->index();
      const uint64_t bytes = index->Stats().resident_bytes;
      used += bytes;
      if (index->options().kind == index::Kind::kTree || space->options().index != IndexKind::kAuto || bytes <= most) continue;
      most = bytes;
      largest = space.get();
    }
  }
  if (used > options_.memory_bytes && largest != nullptr) largest->LeaveMemory();
}

absl::Status DatabaseImpl::Compact() {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  for (const auto& collection : Collections()) {
    absl::ReaderMutexLock lock(&collection->life);
    if (!collection->closed.ok()) continue;
    RETURN_IF_ERROR(collection->SweepExpired());
    RETURN_IF_ERROR(collection->Fold(true));
    RETURN_IF_ERROR(collection->TakeSnapshot());
  }
  RETURN_IF_ERROR(CollectExtents());
  return services_.store->Compact();
}

absl::StatusOr<bool> DatabaseImpl::RelocateTree(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                                const storage::ExtentPointer& to, storage::WriteBatch* batch) {
  if (owner.key.size() < sizeof(uint32_t)) return false;
  const uint32_t number = storage::ReadKey32(owner.key.data());
  for (const auto& collection : Collections()) {
    if (collection->record().id == CollectionOfTree(number)) {
      return collection->RelocateTree(SpaceOfTree(number), owner, from, to, batch);
    }
  }
  return false;
}

absl::Status DatabaseImpl::CollectExtents() {
  const auto relocate = [this](const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                               const storage::ExtentPointer& to, storage::WriteBatch* batch) {
    return owner.table == Table::kTree ? RelocateTree(owner, from, to, batch)
                                       : services_.kv->Relocate(owner, from, to, batch);
  };
  const absl::Status collected = services_.extents->CollectGarbage(relocate).status();
  return absl::IsAborted(collected) ? absl::OkStatus() : collected;  // the rest when the tree is built
}

void DatabaseImpl::SweepKv() {
  services_.kv->Sweep().IgnoreError();  // a failure is met again by the next put, and said there
}

// Evicted entries and changed trees leave garbage; what is left of it after a collection lies in files that are more
// live than not, and is not worth another until more has come.
void DatabaseImpl::CollectWhereWorth() {
  const auto garbage = [this] {
    const storage::ExtentStats stats = services_.extents->Stats();
    return std::pair(stats.bytes - stats.live_bytes, stats.bytes);
  };
  const auto [bytes, total] = garbage();
  if (bytes == 0 || bytes < extent_garbage_left_ + total / kCollectShare) return;
  CollectExtents().IgnoreError();
  extent_garbage_left_ = garbage().first;
}

namespace {

// Index snapshots never change once they have their name, so they are linked (or, across file
// systems, copied). What vanishes meanwhile is rebuilt at open.
absl::Status LinkTree(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (!fs::exists(from, error)) return absl::OkStatus();
  for (auto it = fs::recursive_directory_iterator(from, error); !error && it != fs::end(it); it.increment(error)) {
    const fs::path target = to / fs::relative(it->path(), from);
    std::error_code failed;
    if (it->is_directory(failed)) {
      if (it->path().extension() == ".tmp") it.disable_recursion_pending();
      else fs::create_directories(target, failed);
      continue;
    }
    fs::create_directories(target.parent_path(), failed);
    fs::create_hard_link(it->path(), target, failed);
    if (failed) fs::copy_file(it->path(), target, failed);
    if (failed && fs::exists(it->path())) {
      return absl::UnavailableError(absl::StrCat(target.string(), ": ", failed.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BackupInfo> DatabaseImpl::Backup(absl::string_view directory) const {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  // A fresh snapshot makes a restored copy open at once instead of rebuilding its indexes.
  for (const auto& collection : Collections()) {
    absl::ReaderMutexLock lock(&collection->life);
    if (collection->closed.ok()) RETURN_IF_ERROR(collection->TakeSnapshot());
  }
  const auto link = [this](const std::string& target) -> absl::Status {
    RETURN_IF_ERROR(services_.extents->LinkInto(target + "/extents"));
    return LinkTree(services_.path + "/index", target + "/index");
  };
  ASSIGN_OR_RETURN(const storage::BackupInfo info, storage::CreateBackup(*services_.store, link, directory));
  return BackupInfo{info.id, info.created_ms, info.bytes, info.commit, info.problem};
}

}  // namespace larder
