// Collections made and dropped, and their embedders.
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/database_impl.h"
#include "engine/keys.h"
#include "engine/limits.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder {

using storage::Table;
using storage::WriteBatch;

absl::StatusOr<std::shared_ptr<Embedder>> DatabaseImpl::LoadEmbedder(const CollectionOptions& options) {
  if (options.embedder == EmbedderKind::kNone) return std::shared_ptr<Embedder>();
  std::string key = "minilm";
  if (options.embedder == EmbedderKind::kHttp) {
    key = absl::StrCat("http\n", options.http.url, "\n", options.http.model, "\n", options.http.api_key_env, "\n",
                       options.http.batch, "\n", options.http.max_attempts, "\n",
                       absl::ToInt64Milliseconds(options.http.timeout));
  }
  absl::MutexLock lock(&embedders_mutex_);
  std::shared_ptr<Embedder>& embedder = embedders_[key];
  if (embedder != nullptr) return embedder;
  if (options.embedder == EmbedderKind::kHttp) {
    ASSIGN_OR_RETURN(embedder, OpenHttpEmbedder(options.http));
  } else {
    ASSIGN_OR_RETURN(embedder, OpenMiniLm(options_.model_dir.empty() ? DefaultModelDir() : options_.model_dir));
  }
  return embedder;
}

absl::StatusOr<std::shared_ptr<Embedder>> DatabaseImpl::EmbedderOf(const CollectionRecord& record) {
  ASSIGN_OR_RETURN(std::shared_ptr<Embedder> embedder, LoadEmbedder(record.options));
  if (embedder != nullptr && embedder->fingerprint() != record.embedder_fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat("collection \"", record.name, "\" was made with embedder ",
                                                      record.embedder_fingerprint, ", found ",
                                                      embedder->fingerprint()));
  }
  return embedder;
}

absl::StatusOr<CollectionRecord> DatabaseImpl::MakeRecord(absl::string_view name, CollectionOptions options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Embedder> embedder, LoadEmbedder(options));
  CollectionRecord record;
  record.name = std::string(name);
  if (embedder != nullptr) {
    bool needs_dimension = false;
    for (const VectorSpaceOptions& space : options.spaces) needs_dimension |= space.dimension == 0;
    if (needs_dimension && embedder->dimension() == 0) {
      RETURN_IF_ERROR(embedder->Embed({std::string("dimension")}).status());  // a service tells by answering
    }
    record.embedder_fingerprint = embedder->fingerprint();
    for (VectorSpaceOptions& space : options.spaces) {
      if (space.dimension == 0) space.dimension = embedder->dimension();
      RETURN_IF_ERROR(space.Validate());
    }
  }
  record.options = std::move(options);
  record.id = 1;
  const auto next = services_.store->Get(Table::kMeta, kNextCollectionKey);
  if (next.ok()) {
    storage::RecordReader in(*next, 1, "next collection id");
    record.id = in.U32();
    RETURN_IF_ERROR(in.status());
    if (record.id > kMaxTreeCollection) return absl::ResourceExhaustedError("no collection ids are left");
  } else if (!absl::IsNotFound(next.status())) {
    return next.status();
  }
  return record;
}

absl::StatusOr<Collection> DatabaseImpl::CreateCollection(absl::string_view name, const CollectionOptions& options) {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  RETURN_IF_ERROR(ValidateName("collection", name));
  RETURN_IF_ERROR(options.Validate());
  absl::MutexLock one(&ddl_);
  if (Find(name).ok()) {
    return absl::AlreadyExistsError(absl::StrCat("collection \"", name, "\" exists"));
  }
  ASSIGN_OR_RETURN(CollectionRecord record, MakeRecord(name, options));
  storage::RecordWriter next(1);
  next.U32(record.id + 1);
  WriteBatch batch;
  batch.Put(Table::kMeta, kNextCollectionKey, std::move(next).Finish());
  batch.Put(Table::kCatalog, CollectionNameKey(name), EncodeCollection(record));
  RETURN_IF_ERROR(services_.store->Write(std::move(batch)).status());
  ASSIGN_OR_RETURN(std::shared_ptr<CollectionImpl> collection, CollectionImpl::Open(std::move(record), &services_));
  absl::MutexLock lock(&mutex_);
  collections_.emplace(std::string(name), collection);
  return Collection(std::move(collection));
}

absl::Status DatabaseImpl::DropCollection(absl::string_view name) {
  absl::ReaderMutexLock open(&life_);
  RETURN_IF_ERROR(CheckOpen());
  absl::MutexLock one(&ddl_);
  ASSIGN_OR_RETURN(const std::shared_ptr<CollectionImpl> collection, Find(name));
  collection->dropping = true;
  absl::MutexLock life(&collection->life);  // waits for calls in flight
  RETURN_IF_ERROR(collection->closed);
  WriteBatch batch;
  collection->AppendDrop(&batch);
  {
    const absl::Cleanup kept = [&] { collection->dropping = false; };
    ASSIGN_OR_RETURN(const KvDropGuard kv, services_.kv->DropCollection(collection->record().id, &batch));
    RETURN_IF_ERROR(services_.store->Write(std::move(batch)).status());
  }
  collection->closed = absl::FailedPreconditionError(absl::StrCat("collection \"", name, "\" was dropped"));
  collection->RemoveSnapshots();
  absl::MutexLock lock(&mutex_);
  collections_.erase(collections_.find(name));
  return absl::OkStatus();
}

}  // namespace larder
