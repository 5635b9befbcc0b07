// The public face, and opening and closing.
#include "larder/database.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/database_impl.h"
#include "engine/keys.h"
#include "engine/limits.h"
#include "storage/backup.h"
#include "storage/status_macros.h"

namespace larder {

using storage::Table;

namespace {

// A build takes an eighth of the budget; what waits for a first build, a quarter of that.
TreeMemory TreeMemoryOf(uint64_t memory_bytes) {
  const uint64_t build = std::clamp<uint64_t>(memory_bytes / 8, 16 << 20, 256 << 20);
  return {build, build / 4};
}

constexpr absl::Duration kTuneInterval = absl::Milliseconds(200);
constexpr absl::Duration kTreeInterval = absl::Milliseconds(50), kTreeRetry = absl::Seconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(absl::string_view path, const OpenOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<DatabaseImpl> impl, DatabaseImpl::Open(path, options));
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Database::Database(std::unique_ptr<DatabaseImpl> impl) : impl_(std::move(impl)) {}
Database::~Database() { Close().IgnoreError(); }
absl::Status Database::Close() { return impl_->Close(); }
absl::StatusOr<Collection> Database::CreateCollection(absl::string_view name, const CollectionOptions& options) {
  return impl_->CreateCollection(name, options);
}
absl::StatusOr<Collection> Database::GetCollection(absl::string_view name) const {
  return impl_->GetCollection(name);
}
std::vector<std::string> Database::ListCollections() const { return impl_->ListCollections(); }
absl::Status Database::DropCollection(absl::string_view name) { return impl_->DropCollection(name); }
KvCache& Database::kv() { return impl_->kv(); }
absl::StatusOr<DatabaseStats> Database::Stats() const { return impl_->Stats(); }
absl::StatusOr<VerifyReport> Database::Verify() const { return impl_->Verify(); }
absl::Status Database::Compact() { return impl_->Compact(); }
absl::StatusOr<BackupInfo> Database::Backup(absl::string_view directory) const {
  return impl_->Backup(directory);
}

absl::StatusOr<std::unique_ptr<DatabaseImpl>> DatabaseImpl::Open(absl::string_view path,
                                                                 const OpenOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  if (path.empty()) return absl::InvalidArgumentError("database path is empty");
  std::unique_ptr<DatabaseImpl> impl(new DatabaseImpl(options));
  RETURN_IF_ERROR(impl->OpenStorage(path));
  RETURN_IF_ERROR(impl->OpenCollections());
  impl->keeper_ = std::thread([raw = impl.get()] { raw->LookAfter(); });
  impl->gardener_ = std::thread([raw = impl.get()] { raw->MaintainTrees(); });
  if (options.tune_recall) impl->tuner_ = std::thread([raw = impl.get()] { raw->TuneRecall(); });
  return impl;
}

absl::Status DatabaseImpl::OpenStorage(absl::string_view path) {
  storage::StoreOptions store;
  store.create_if_missing = options_.create_if_missing;
  store.error_if_exists = options_.error_if_exists;
  store.accept_data_loss = options_.accept_data_loss;
  store.block_cache_bytes = options_.block_cache_bytes;
  store.write_buffer_bytes = options_.write_buffer_bytes;
  services_.path = std::string(path);
  services_.clock = options_.clock;
  services_.build_threads = std::make_unique<BuildThreads>(options_.index_threads);
  if (options_.memory_bytes > 0) services_.tree_memory = TreeMemoryOf(options_.memory_bytes);
  ASSIGN_OR_RETURN(services_.store, storage::Store::Open(path, store));
  if (options_.accept_data_loss) {
    // The indexes may know of commits that the store has lost.
    std::error_code error;
    std::filesystem::remove_all(services_.path + "/index", error);
  }
  ASSIGN_OR_RETURN(services_.extents,
                   storage::ExtentStore::Open(services_.path + "/extents", services_.store.get(), {}));
  // Answers from committed state, and takes no lock that a writer holds (KvContext).
  const ChunkResolver resolve = [this](absl::string_view tenant,
                                       const KvOwner& owner) -> absl::StatusOr<ChunkRef> {
    ASSIGN_OR_RETURN(const std::shared_ptr<CollectionImpl> collection, Find(owner.collection));
    ASSIGN_OR_RETURN(const uint64_t vid, collection->ResolveChunk(tenant, owner.document_id, owner.ordinal));
    return ChunkRef{collection->record().id, vid};
  };
  std::shared_ptr<kv::KvPool> pool;
  if (options_.kv_pool_bytes > 0) {
    ASSIGN_OR_RETURN(pool, kv::KvPool::Create({.bytes = options_.kv_pool_bytes}));
  }
  kv_ = std::make_unique<KvCache>(std::make_unique<KvCacheImpl>(
      services_.store.get(), services_.extents.get(), services_.clock, resolve, std::move(pool), options_.kv));
  services_.kv = kv_->impl();
  services_.embedder = [this](const CollectionRecord& record) { return EmbedderOf(record); };
  return absl::OkStatus();
}

absl::Status DatabaseImpl::OpenCollections() {
  std::vector<CollectionRecord> records;
  auto it = services_.store->NewIterator(Table::kCatalog, CollectionNameKey(""));
  for (; it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(const absl::string_view bytes, it->value());
    ASSIGN_OR_RETURN(CollectionRecord record, DecodeCollection(bytes, absl::StrCat("catalog entry ", it->key())));
    records.push_back(std::move(record));
  }
  RETURN_IF_ERROR(it->status());
  for (CollectionRecord& record : records) {
    const std::string name = record.name;
    ASSIGN_OR_RETURN(std::shared_ptr<CollectionImpl> collection, CollectionImpl::Open(std::move(record), &services_));
    absl::MutexLock lock(&mutex_);
    collections_.emplace(name, std::move(collection));
  }
  return absl::OkStatus();
}

DatabaseImpl::~DatabaseImpl() { Close().IgnoreError(); }

absl::Status DatabaseImpl::Close() {
  {
    absl::MutexLock lock(&life_);  // waits for calls in flight
    if (!open_) return absl::OkStatus();
    open_ = false;
  }
  stop_.Notify();
  if (keeper_.joinable()) keeper_.join();
  if (tuner_.joinable()) tuner_.join();
  if (gardener_.joinable()) gardener_.join();
  absl::Status status;
  for (const auto& collection : Collections()) {
    absl::MutexLock lock(&collection->life);  // waits for calls in flight
    collection->closed = absl::FailedPreconditionError("the database is closed");
    status.Update(collection->TakeSnapshot());
  }
  if (kv_ != nullptr) services_.kv->Close();
  services_.extents.reset();
  if (services_.store != nullptr) status.Update(services_.store->Close());
  return status;
}

absl::Status DatabaseImpl::CheckOpen() const {
  return open_ ? absl::OkStatus() : absl::FailedPreconditionError("the database is closed");
}

std::vector<std::shared_ptr<CollectionImpl>> DatabaseImpl::Collections() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<std::shared_ptr<CollectionImpl>> all;
  for (const auto& [name, collection] : collections_) all.push_back(collection);
  return all;
}

std::vector<std::string> DatabaseImpl::ListCollections() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, collection] : collections_) names.push_back(name);
  return names;
}

absl::StatusOr<std::shared_ptr<CollectionImpl>> DatabaseImpl::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto it = collections_.find(name);
  if (it != collections_.end()) return it->second;
  return absl::NotFoundError(absl::StrCat("there is no collection \"", name.substr(0, 80), "\""));
}

absl::StatusOr<Collection> DatabaseImpl::GetCollection(absl::string_view name) const {
  absl::ReaderMutexLock life(&life_);
  RETURN_IF_ERROR(CheckOpen());
  ASSIGN_OR_RETURN(std::shared_ptr<CollectionImpl> collection, Find(name));
  return Collection(std::move(collection));
}

void DatabaseImpl::LookAfter() {
  while (!stop_.WaitForNotificationWithTimeout(options_.expiry_sweep_interval)) {
    for (const auto& collection : Collections()) {
      absl::ReaderMutexLock lock(&collection->life);
      if (!collection->closed.ok()) continue;
      // A failure here (a full disk) is met again by the next write, and said there.
      collection->SweepExpired().IgnoreError();
      collection->Fold(false).IgnoreError();
      if (collection->changes_since_snapshot() >= options_.snapshot_every) collection->TakeSnapshot().IgnoreError();
    }
    services_.kv->ExpireSessions();
    services_.kv->ExpireLeases();
    SweepKv();
    CollectWhereWorth();
  }
}

void DatabaseImpl::MaintainTrees() {
  absl::Duration pause = kTreeInterval;
  while (!stop_.WaitForNotificationWithTimeout(pause)) {
    pause = kTreeInterval;
    KeepBudget();
    for (const auto& collection : Collections()) {
      absl::ReaderMutexLock lock(&collection->life);
      if (!collection->closed.ok()) continue;
      const absl::Time start = absl::Now();
      const auto did = collection->MaintainTrees(
          [&] { return stop_.HasBeenNotified() || collection->dropping.load(std::memory_order_relaxed); });
      // Half a core at most; what failed (a full disk) is tried again after a while, and Info says why.
      if (!did.ok()) pause = kTreeRetry;
      else if (*did) pause = std::min(pause, absl::Now() - start);
    }
  }
}

void DatabaseImpl::TuneRecall() {
  const auto stop = [this] { return stop_.HasBeenNotified(); };
  while (!stop_.WaitForNotificationWithTimeout(kTuneInterval)) {
    for (const auto& collection : Collections()) collection->TuneRecall(stop);
  }
}

absl::StatusOr<std::vector<BackupInfo>> Database::ListBackups(absl::string_view directory) {
  ASSIGN_OR_RETURN(const auto backups, storage::ListBackups(directory));
  std::vector<BackupInfo> infos;
  for (const auto& backup : backups) {
    infos.push_back({backup.id, backup.created_ms, backup.bytes, backup.commit, backup.problem});
  }
  return infos;
}

absl::Status Database::Restore(absl::string_view directory, absl::string_view path, uint64_t id) {
  return storage::RestoreBackup(directory, id, path);
}

}  // namespace larder
