#include "storage/extent_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/extent_recovery.h"
#include "storage/extent_rows.h"
#include "storage/extent_store_impl.h"
#include "storage/extent_verify.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

// 128 files of the usual size are 32 GiB; a few hundred descriptors are all that many systems give.
constexpr size_t kMaxOpenFiles = 128;
constexpr uint64_t kMinFileBytes = 2 * kExtentBlockBytes;
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 40;
constexpr uint32_t kMaxQueueDepth = 4096;

}  // namespace

absl::Status ExtentStoreOptions::Validate() const {
  if (file_bytes < kMinFileBytes || file_bytes > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat("ExtentStoreOptions::file_bytes is ", file_bytes,
                                                   ", expected ", kMinFileBytes, " to ", kMaxFileBytes));
  }
  if (queue_depth == 0 || queue_depth > kMaxQueueDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("ExtentStoreOptions::queue_depth is ", queue_depth, ", expected 1 to ", kMaxQueueDepth));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExtentStore>> ExtentStore::Open(absl::string_view directory, Store* store,
                                                               const ExtentStoreOptions& options) {
  return OpenExtentStore(directory, store, options, {});
}

absl::StatusOr<std::unique_ptr<ExtentStore>> OpenExtentStore(absl::string_view directory, Store* store,
                                                             const ExtentStoreOptions& options,
                                                             const ExtentEnvironment& environment) {
  RETURN_IF_ERROR(options.Validate());
  RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), std::string(directory)));
  auto extents = std::make_unique<ExtentStoreImpl>(std::string(directory), store, options, environment);
  RETURN_IF_ERROR(extents->Recover());
  return extents;
}

ExtentStoreImpl::ExtentStoreImpl(std::string directory, Store* store, const ExtentStoreOptions& options,
                                 const ExtentEnvironment& environment)
    : directory_(std::move(directory)),
      store_(store),
      gc_hook_(environment.gc_hook),
      fds_(*environment.system, directory_, options.direct_io, kMaxOpenFiles),
      writer_(*environment.system, directory_, options.file_bytes, &ledger_),
      reader_(options, &ledger_, &fds_) {}

absl::Status ExtentStoreImpl::Recover() { return RecoverExtents(directory_, store_, &ledger_); }

absl::StatusOr<ExtentPointer> ExtentStoreImpl::Append(absl::string_view payload) {
  return writer_.Append(payload);
}

absl::Status ExtentStoreImpl::Sync() {
  // Reads that pass the page cache by would leave it full of pages that nobody asks for.
  writer_.DropSyncedPages(fds_.direct());
  return writer_.Sync();
}

void ExtentStoreImpl::Reference(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch) {
  PutExtentRow(pointer, owner, batch);
  batch->Count(Counter::kExtents, +1);
}

void ExtentStoreImpl::Release(const ExtentPointer& pointer, WriteBatch* batch) {
  DeleteExtentRow(pointer, batch);
  batch->Count(Counter::kExtents, -1);
  ledger_.Released(pointer);
}

void ExtentStoreImpl::Forget(const ExtentPointer& pointer) {
  writer_.Forget(pointer);
  ledger_.Forgotten(pointer);
}

std::vector<absl::StatusOr<std::string>> ExtentStoreImpl::Read(
    absl::Span<const ExtentPointer> pointers) const {
  return reader_.Read(pointers);
}

void ExtentStoreImpl::Stream(absl::Span<const ExtentPointer> pointers, Sink sink, Start start) const {
  reader_.Stream(pointers, sink, start);
}

absl::StatusOr<uint64_t> ExtentStoreImpl::CollectGarbage(const Relocate& relocate) {
  absl::MutexLock lock(&gc_mutex_);
  const ExtentParts parts{.directory = directory_,
                          .store = store_,
                          .ledger = &ledger_,
                          .writer = &writer_,
                          .reader = &reader_,
                          .fds = &fds_};
  return ExtentCollector(parts, relocate, gc_hook_).Run();
}

absl::StatusOr<uint64_t> ExtentStoreImpl::Verify(std::vector<std::string>* problems) const {
  return ExtentVerifier(directory_, *store_, ledger_, &reader_, problems).Run();
}

ExtentStats ExtentStoreImpl::Stats() const {
  ExtentStats stats;
  for (const ExtentLedger::FileAccount& file : ledger_.All()) {
    ++stats.files;
    stats.bytes += file.account.end;
    stats.live_bytes += file.account.live_bytes;
    stats.extents += file.account.live_extents;
  }
  stats.io_uring = reader_.io_uring();
  stats.direct_io = fds_.direct();
  return stats;
}

}  // namespace larder::storage
