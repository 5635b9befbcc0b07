// The public face: every call holds the collection open while it runs.
#include "larder/collection.h"

#include "absl/strings/str_cat.h"
#include "engine/collection_impl.h"
#include "storage/status_macros.h"

namespace larder {

const std::string& Collection::name() const { return impl_->record().name; }
const CollectionOptions& Collection::options() const { return impl_->record().options; }
CollectionInfo Collection::Info() const { return impl_->Info(); }

absl::StatusOr<std::vector<UpsertResult>> Collection::Upsert(absl::Span<const Document> documents,
                                                             const WriteOptions& options) {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  return impl_->Upsert(documents, options.sync);
}

absl::StatusOr<UpsertResult> Collection::Upsert(const Document& document, const WriteOptions& options) {
  ASSIGN_OR_RETURN(std::vector<UpsertResult> results, Upsert(absl::MakeConstSpan(&document, 1), options));
  if (results[0].error_code != 0) {
    return absl::Status(static_cast<absl::StatusCode>(results[0].error_code), results[0].error);
  }
  return std::move(results[0]);
}

absl::StatusOr<Document> Collection::Get(absl::string_view id, absl::string_view tenant,
                                         bool include_chunks) const {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  return impl_->Get(id, tenant, include_chunks);
}

absl::StatusOr<std::vector<Chunk>> Collection::Chunks(absl::string_view id, absl::string_view tenant) const {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  return impl_->Chunks(id, tenant);
}

absl::StatusOr<bool> Collection::Delete(absl::string_view id, absl::string_view tenant,
                                        const WriteOptions& options) {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  return impl_->Delete(id, tenant, options.sync);
}

absl::StatusOr<uint64_t> Collection::DeleteWhere(absl::string_view filter, absl::string_view tenant,
                                                 const WriteOptions& options) {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  impl_->SweepExpired().IgnoreError();
  return impl_->DeleteWhere(filter, tenant, options.sync);
}

absl::StatusOr<ScrollReply> Collection::Scroll(const ScrollRequest& request) const {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  return impl_->Scroll(request);
}

// Before a read, what has expired is taken out, so that it is neither found nor counted; where the
// disk takes no deletes it is hidden in memory, and the sweeper tries again.
absl::StatusOr<uint64_t> Collection::Count(absl::string_view filter, absl::string_view tenant) const {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  impl_->SweepExpired().IgnoreError();
  return impl_->Count(filter, tenant);
}

absl::StatusOr<SearchReply> Collection::Search(const SearchRequest& request) const {
  absl::ReaderMutexLock lock(&impl_->life);
  RETURN_IF_ERROR(impl_->closed);
  impl_->SweepExpired().IgnoreError();
  return impl_->Search(request);
}

}  // namespace larder
