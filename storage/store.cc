#include "storage/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/schema.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"
#include "storage/value_trailer.h"

namespace larder::storage {
namespace {

constexpr size_t kMaxGroupBytes = 4 << 20;
constexpr uint64_t kMinWriteBufferBytes = 1 << 20;

absl::Status AddRepairHint(const absl::Status& status, const std::string& directory, bool accepted) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      absl::StrCat(status.message(), "; restore a backup",
                   accepted ? "" : ", or accept what is left with: larder repair --accept-data-loss ",
                   accepted ? "" : directory));
}

absl::Status PutCommitRecord(const Rocks& rocks, const CommitRecord& record) {
  std::string value = EncodeCommitRecord(record);
  AppendTrailer(Table::kMeta, kCommitKey, value, &value);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return FromRocks(rocks.db()->Put(synced, rocks.handle(Table::kMeta), ToSlice(kCommitKey), value),
                   "write the commit record");
}

struct Opened {
  std::unique_ptr<Rocks> rocks;
  CommitRecord record;
};

absl::StatusOr<Opened> Create(const Layout& layout, const StoreOptions& options,
                              const StoreEnvironment& environment) {
  RETURN_IF_ERROR(BeginCreation(*environment.files, layout));
  Opened opened;
  ASSIGN_OR_RETURN(opened.rocks, Rocks::Open(layout.rocks, options, environment.env, Rocks::Mode::kCreate));
  opened.record.identity = NewIdentity();
  RETURN_IF_ERROR(PutCommitRecord(*opened.rocks, opened.record));
  RETURN_IF_ERROR(WriteMarkFile(*environment.files, layout.committed, {opened.record, {}}));
  RETURN_IF_ERROR(FinishCreation(*environment.files, layout));
  return opened;
}

// Looks without writing, so that a store that must be refused is left as it was found: recovery
// deletes the logs it could not read.
absl::Status CheckAgainstMark(const Layout& layout, const CommitMark& mark, const StoreOptions& options,
                              const StoreEnvironment& environment) {
  ASSIGN_OR_RETURN(const ManifestPosition manifest, FindManifest(layout.rocks));
  RETURN_IF_ERROR(CheckManifest(mark, manifest));
  ASSIGN_OR_RETURN(const std::unique_ptr<Rocks> rocks,
                   Rocks::Open(layout.rocks, options, environment.env, Rocks::Mode::kReadOnly));
  ASSIGN_OR_RETURN(const CommitRecord record, ReadCommitRecord(*rocks));
  return CheckRecord(mark, record);
}

absl::StatusOr<Opened> OpenExisting(const Layout& layout, const StoreOptions& options,
                                    const StoreEnvironment& environment) {
  RETURN_IF_ERROR(RemoveFileIfPresent(layout.creating));
  absl::StatusOr<CommitMark> mark = ReadMarkFile(layout.committed);
  absl::Status checked = mark.status();
  if (mark.ok()) checked = CheckAgainstMark(layout, *mark, options, environment);
  const bool accept = options.accept_data_loss && absl::IsDataLoss(checked);
  if (!checked.ok() && !accept) return checked;

  RETURN_IF_ERROR(UpgradeFormat(*environment.files, layout));
  Opened opened;
  ASSIGN_OR_RETURN(opened.rocks, Rocks::Open(layout.rocks, options, environment.env, Rocks::Mode::kExisting));
  ASSIGN_OR_RETURN(opened.record, ReadCommitRecord(*opened.rocks));
  if (accept) {
    // Numbers of lost commits are not given out again: files elsewhere may still name them.
    if (mark.ok())
      opened.record.state.commit = std::max(opened.record.state.commit, mark->record.state.commit);
    ++opened.record.state.commit;
    RETURN_IF_ERROR(PutCommitRecord(*opened.rocks, opened.record));
    return opened;
  }
  RETURN_IF_ERROR(CheckRecord(*mark, opened.record));
  return opened;
}

}  // namespace

absl::Status StoreOptions::Validate() const {
  if (write_buffer_bytes < kMinWriteBufferBytes) {
    return absl::InvalidArgumentError(absl::StrCat("StoreOptions.write_buffer_bytes: ", write_buffer_bytes,
                                                   ", expected at least ", kMinWriteBufferBytes));
  }
  if (mark_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "StoreOptions.mark_interval: ", absl::FormatDuration(mark_interval), ", expected more than 0"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(absl::string_view directory, const StoreOptions& options) {
  return OpenStore(directory, options, StoreEnvironment());
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view directory, const StoreOptions& options,
                                                 const StoreEnvironment& environment) {
  RETURN_IF_ERROR(options.Validate());
  const Layout layout(directory);
  // Before the lock, which makes a file: what is refused stays untouched.
  ASSIGN_OR_RETURN(Presence presence, Inspect(layout));
  if (presence == Presence::kAbsent) {
    if (!options.create_if_missing) {
      return absl::NotFoundError(absl::StrCat(layout.directory, ": no Larder database there"));
    }
    RETURN_IF_ERROR(MakeDirectories(*environment.files, layout.directory));
  }
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(layout.lock));
  ASSIGN_OR_RETURN(presence, Inspect(layout));
  if (presence == Presence::kPresent && options.error_if_exists) {
    return absl::AlreadyExistsError(absl::StrCat(layout.directory, ": a Larder database is there already"));
  }
  RETURN_IF_ERROR(RemoveTree(layout.staging));
  absl::StatusOr<Opened> opened = presence == Presence::kAbsent ? Create(layout, options, environment)
                                                                : OpenExisting(layout, options, environment);
  if (!opened.ok()) return AddRepairHint(opened.status(), layout.directory, options.accept_data_loss);
  auto store = std::make_unique<StoreImpl>(layout, options, *environment.files, std::move(lock),
                                           std::move(opened->rocks), opened->record, environment.env);
  RETURN_IF_ERROR(store->WriteMark());
  store->StartMarking();
  return store;
}

StoreImpl::StoreImpl(Layout layout, const StoreOptions& options, FileSystem& files, FileLock lock,
                     std::unique_ptr<Rocks> rocks, const CommitRecord& record, rocksdb::Env* env)
    : layout_(std::move(layout)),
      options_(options),
      identity_(record.identity),
      files_(files),
      lock_(std::move(lock)),
      env_(env),
      commits_([this](const std::vector<const WriteBatch*>& group, bool sync) { return Apply(group, sync); },
               kMaxGroupBytes),
      rocks_(std::move(rocks)),
      state_(record.state),
      durable_commit_(record.state.commit) {}  // recovery flushed it

StoreImpl::~StoreImpl() { Close().IgnoreError(); }

void StoreImpl::StartMarking() { marker_ = std::thread(&StoreImpl::MarkLoop, this); }

absl::Status StoreImpl::Close() {
  if (!Open().ok() && !marker_.joinable()) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    next_recovery_ = absl::InfinitePast();
  }
  if (marker_.joinable()) marker_.join();
  absl::Status status = commits_.Exclusively([this] { return RecoverIfFailed(); });
  // With nothing left in the log the next open has nothing to replay.
  if (auto rocks = Open(); status.ok() && rocks.ok()) status = (*rocks)->Flush();
  status.Update(WriteMark());
  {
    absl::MutexLock lock(&rocks_mutex_);
    rocks_.reset();
  }
  lock_.Release();
  return status;
}

}  // namespace larder::storage
