// The life of a write: prepare (prepare.h), lock, commit, apply to the indexes, acknowledge.
#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/collection_impl.h"
#include "engine/keys.h"
#include "engine/limits.h"
#include "engine/metadata_index.h"
#include "engine/stripe_lock.h"
#include "storage/status_macros.h"

namespace larder {

using storage::Counter;
using storage::Table;
using storage::WriteBatch;

namespace {

constexpr size_t kMaxRunDocuments = 1024;

void SetError(const absl::Status& status, UpsertResult* result) {
  result->error_code = static_cast<int>(status.code());
  result->error = std::string(status.message());
}

bool FailsWholeCall(const absl::Status& status) {
  return !status.ok() && status.code() != absl::StatusCode::kInvalidArgument;
}

std::vector<uint64_t> VidRange(uint64_t first, size_t count) {
  std::vector<uint64_t> vids(count);
  for (size_t i = 0; i < count; ++i) vids[i] = first + i;
  return vids;
}

}  // namespace

absl::StatusOr<std::vector<UpsertResult>> CollectionImpl::Upsert(absl::Span<const Document> documents, bool sync) {
  if (documents.size() > kMaxBatchDocuments) {
    return absl::InvalidArgumentError(absl::StrCat("batch of ", documents.size(), " documents, expected at most ",
                                                   kMaxBatchDocuments));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<Embedder> embedder, services_->embedder(record_));
  std::vector<PreparedDocument> prepared = PrepareDocuments(documents, record_.options, embedder.get());
  std::vector<UpsertResult> results(documents.size());
  std::vector<PreparedDocument*> run;
  std::vector<UpsertResult*> run_results;
  absl::flat_hash_set<std::string> run_keys;
  const auto flush = [&]() -> absl::Status {
    if (run.empty()) return absl::OkStatus();
    const absl::Status status = WriteRun(run, sync, run_results);
    for (UpsertResult* result : run_results) {
      if (!status.ok()) SetError(status, result);
    }
    run.clear();
    run_results.clear();
    run_keys.clear();
    return status;
  };
  bool stored_any = false;
  absl::Status failure;
  for (size_t i = 0; i < documents.size(); ++i) {
    results[i].id = documents[i].id;
    if (!failure.ok()) prepared[i].status = failure;
    if (!prepared[i].status.ok()) {
      SetError(prepared[i].status, &results[i]);
      if (FailsWholeCall(prepared[i].status)) failure = prepared[i].status;
      continue;
    }
    std::string key = DocumentKey(record_.id, documents[i].tenant, documents[i].id);
    if (run.size() == kMaxRunDocuments || run_keys.contains(key)) {
      const bool filled = !run.empty();
      failure = flush();
      stored_any |= filled && failure.ok();
      if (!failure.ok()) {
        SetError(failure, &results[i]);
        continue;
      }
    }
    run_keys.insert(std::move(key));
    run.push_back(&prepared[i]);
    run_results.push_back(&results[i]);
  }
  const bool filled = !run.empty();
  const absl::Status last = flush();
  stored_any |= filled && last.ok();
  if (failure.ok()) failure = last;
  if (!failure.ok() && !stored_any) return failure;
  // A graph of a few thousand vectors takes a second; folding a large one is the keeper's work.
  for (const auto& space : spaces_) {
    space->HelpTree(&gate_);
    if (!space->HasOutgrownFlat()) continue;
    RETURN_IF_ERROR(space->Replace(&gate_, /*wait=*/false, [] { return false; }));
  }
  return results;
}

absl::Status CollectionImpl::WriteRun(absl::Span<PreparedDocument* const> run, bool sync,
                                      std::vector<UpsertResult*> results) {
  std::vector<std::string> keys;
  uint64_t chunks = 0;
  for (const PreparedDocument* document : run) {
    keys.push_back(DocumentKey(record_.id, document->source->tenant, document->source->id));
    chunks += document->chunks.size();
  }
  const StripeLock stripes(&stripes_, keys);
  absl::ReaderMutexLock gate(&gate_);
  ASSIGN_OR_RETURN(const uint64_t first_vid, vids_.Allocate(chunks));

  WriteBatch batch;
  std::vector<uint64_t> removed;
  const auto old_rows = services_->store->MultiGet(Table::kDocuments, keys);
  uint64_t vid = first_vid;
  for (size_t i = 0; i < run.size(); ++i) {
    const Document& source = *run[i]->source;
    DocumentRecord old;
    bool had = false;
    if (old_rows[i].ok()) {
      ASSIGN_OR_RETURN(old, DecodeDocument(*old_rows[i], absl::StrCat("document \"", source.id, "\"")));
      had = true;
      RETURN_IF_ERROR(AppendRemoval(source.tenant, source.id, old, &batch));
      removed.insert(removed.end(), old.vids.begin(), old.vids.end());
    } else if (!absl::IsNotFound(old_rows[i].status())) {
      return old_rows[i].status();
    }
    RETURN_IF_ERROR(AppendUpsert(*run[i], vid, had ? &old : nullptr, &batch, &results[i]->version));
    results[i]->chunks = static_cast<uint32_t>(run[i]->chunks.size());
    vid += run[i]->chunks.size();
  }
  ASSIGN_OR_RETURN(const KvDropGuard kv, services_->kv->DropChunks(record_.id, removed, &batch));
  RETURN_IF_ERROR(Commit({run, first_vid, removed}, std::move(batch), sync));

  RETURN_IF_ERROR(ApplyUpserts(run, first_vid, chunks));
  ApplyRemoval(removed);
  changes_.fetch_add(chunks + removed.size(), std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status CollectionImpl::AppendUpsert(const PreparedDocument& document, uint64_t first_vid,
                                          const DocumentRecord* old, WriteBatch* batch, uint64_t* version) const {
  const Document& source = *document.source;
  const std::string key = DocumentKey(record_.id, source.tenant, source.id);
  DocumentRecord record;
  record.version = *version = (old == nullptr ? 0 : old->version) + 1;
  record.title = source.title;
  record.uri = source.uri;
  record.media_type = source.media_type;
  record.metadata = source.metadata;
  record.expires_at_ms = source.expires_at_ms;
  record.text_bytes = source.text.size();
  record.given_chunks = !source.chunks.empty();
  record.vids = VidRange(first_vid, document.chunks.size());
  batch->Put(Table::kDocuments, key, EncodeDocument(record));
  if (!source.text.empty()) batch->Put(Table::kSources, key, source.text);
  if (record.expires_at_ms > 0) {
    batch->Put(Table::kExpiry, ExpiryKey(record_.id, record.expires_at_ms, source.tenant, source.id), "");
  }
  for (size_t i = 0; i < document.chunks.size(); ++i) {
    const uint64_t vid = first_vid + i;
    batch->Put(Table::kChunks, ChunkKey(record_.id, vid), EncodeChunk(document.chunks[i]));
    const Metadata merged = MergeMetadata(source.metadata, document.chunks[i].metadata);
    for (const std::string& field : FieldKeys(record_.id, source.tenant, merged, vid)) {
      batch->Put(Table::kFields, field, "");
    }
    for (const auto& space : spaces_) {
      const size_t dimension = space->options().dimension;
      batch->Put(Table::kVectors, VectorKey(record_.id, space->number(), vid),
                 EncodeVector(document.vectors[space->number()].data() + i * dimension, dimension));
    }
  }
  batch->Count(Counter::kDocuments, 1);
  batch->Count(Counter::kChunks, static_cast<int64_t>(document.chunks.size()));
  return absl::OkStatus();
}

absl::Status CollectionImpl::AppendRemoval(absl::string_view tenant, absl::string_view id,
                                           const DocumentRecord& record, WriteBatch* batch) const {
  const std::string key = DocumentKey(record_.id, tenant, id);
  batch->Delete(Table::kDocuments, key);
  if (record.text_bytes > 0) batch->Delete(Table::kSources, key);
  if (record.expires_at_ms > 0) {
    batch->Delete(Table::kExpiry, ExpiryKey(record_.id, record.expires_at_ms, tenant, id));
  }
  for (uint64_t vid : record.vids) {
    ASSIGN_OR_RETURN(const ChunkRecord chunk, ReadChunk(vid));
    const Metadata merged = MergeMetadata(record.metadata, chunk.metadata);
    for (const std::string& field : FieldKeys(record_.id, tenant, merged, vid)) {
      batch->Delete(Table::kFields, field);
    }
    for (const auto& space : spaces_) {
      batch->Delete(Table::kVectors, VectorKey(record_.id, space->number(), vid));
    }
    batch->Delete(Table::kChunks, ChunkKey(record_.id, vid));
    batch->Put(Table::kTombstones, ChunkKey(record_.id, vid), "");
  }
  batch->Count(Counter::kDocuments, -1);
  batch->Count(Counter::kChunks, -static_cast<int64_t>(record.vids.size()));
  return absl::OkStatus();
}

absl::Status CollectionImpl::Commit(const Changes& changes, WriteBatch batch, bool sync, size_t number) {
  if (number == spaces_.size()) {
    RETURN_IF_ERROR(services_->store->Write(std::move(batch), sync).status());
    uint64_t vid = changes.first_vid;
    for (const PreparedDocument* document : changes.added) {
      TellPostings(*document, vid);
      directory_.AddDocument(document->source->tenant, document->source->id, VidRange(vid, document->chunks.size()));
      vid += document->chunks.size();
    }
    return absl::OkStatus();
  }
  std::vector<float> vectors;
  uint64_t chunks = 0;
  for (const PreparedDocument* document : changes.added) {
    const std::vector<float>& rows = document->vectors[number];
    vectors.insert(vectors.end(), rows.begin(), rows.end());
    chunks += document->chunks.size();
  }
  return spaces_[number]->Change(VidRange(changes.first_vid, chunks), vectors, changes.removed, std::move(batch),
                                 [&](WriteBatch all) { return Commit(changes, std::move(all), sync, number + 1); });
}

absl::Status CollectionImpl::ApplyUpserts(absl::Span<PreparedDocument* const> run, uint64_t first_vid,
                                          uint64_t chunks) {
  const std::vector<uint64_t> vids = VidRange(first_vid, chunks);
  std::vector<float> rows;
  for (const auto& space : spaces_) {
    rows.clear();
    for (const PreparedDocument* document : run) {
      const std::vector<float>& vectors = document->vectors[space->number()];
      rows.insert(rows.end(), vectors.begin(), vectors.end());
    }
    RETURN_IF_ERROR(space->Add(vids, rows));
  }
  for (const PreparedDocument* document : run) NoteExpiry(document->source->expires_at_ms);
  return absl::OkStatus();
}

// Before the vids are live: whoever sees them finds them by their metadata too.
void CollectionImpl::TellPostings(const PreparedDocument& document, uint64_t first_vid) {
  if (postings_.empty()) return;
  const Document& source = *document.source;
  for (size_t i = 0; i < document.chunks.size(); ++i) {
    postings_.Add(FieldKeys(record_.id, source.tenant, MergeMetadata(source.metadata, document.chunks[i].metadata),
                            first_vid + i));
  }
}

void CollectionImpl::ApplyRemoval(absl::Span<const uint64_t> vids) {
  if (vids.empty()) return;
  for (const auto& space : spaces_) space->Remove(vids);
  directory_.Remove(vids);
  postings_.NoteRemoved(vids.size(), directory_.chunks());
}

absl::StatusOr<bool> CollectionImpl::Delete(absl::string_view id, absl::string_view tenant, bool sync) {
  RETURN_IF_ERROR(ValidateId(id));
  RETURN_IF_ERROR(ValidateTenant(tenant));
  const StripeLock stripes(&stripes_, {DocumentKey(record_.id, tenant, id)});
  absl::ReaderMutexLock gate(&gate_);
  const absl::StatusOr<DocumentRecord> record = ReadDocument(tenant, id);
  if (absl::IsNotFound(record.status())) return false;
  RETURN_IF_ERROR(record.status());
  WriteBatch batch;
  RETURN_IF_ERROR(AppendRemoval(tenant, id, *record, &batch));
  ASSIGN_OR_RETURN(const KvDropGuard kv, services_->kv->DropChunks(record_.id, record->vids, &batch));
  const absl::Status written = Commit({{}, 0, record->vids}, std::move(batch), sync);
  const bool expired = Expired(*record);
  // What has expired must not be seen even when the disk takes no more writes.
  if (written.ok() || expired) ApplyRemoval(record->vids);
  RETURN_IF_ERROR(written);
  changes_.fetch_add(record->vids.size(), std::memory_order_relaxed);
  return !expired;
}

absl::StatusOr<uint64_t> CollectionImpl::DeleteWhere(absl::string_view filter, absl::string_view tenant, bool sync) {
  ASSIGN_OR_RETURN(const Filter parsed, ParseFilter(filter));
  if (parsed.op == Filter::Op::kAnd && parsed.children.empty()) {
    return absl::InvalidArgumentError("delete needs a filter; to delete everything, drop the collection");
  }
  bool all = false;
  ASSIGN_OR_RETURN(const index::VidSet matches, Match(parsed, tenant, &all));
  uint64_t deleted = 0;
  for (const auto& [owner, id] : directory_.DocumentsOf(matches)) {
    ASSIGN_OR_RETURN(const bool existed, Delete(id, owner, sync));
    deleted += existed;
  }
  return deleted;
}

absl::Status CollectionImpl::SweepExpired() {
  const int64_t now = services_->NowMs();
  if (next_expiry_ms_.load(std::memory_order_relaxed) > now) return absl::OkStatus();
  next_expiry_ms_.store(INT64_MAX, std::memory_order_relaxed);
  absl::Status status;
  int64_t next = INT64_MAX;
  auto it = services_->store->NewIterator(Table::kExpiry, CollectionPrefix(record_.id));
  for (; it->Valid(); it->Next()) {
    absl::string_view key = it->key();
    const int64_t expires = static_cast<int64_t>(storage::ReadKey64(key.data() + 4) ^ (uint64_t{1} << 63));
    if (expires > now) {
      next = expires;
      break;
    }
    key.remove_prefix(12);
    ASSIGN_OR_RETURN(const std::string tenant, storage::ReadKeyString(&key));
    ASSIGN_OR_RETURN(const std::string id, storage::ReadKeyString(&key));
    status.Update(Delete(id, tenant, true).status());
  }
  status.Update(it->status());
  NoteExpiry(status.ok() ? next : now + 1000);
  return status;
}

void CollectionImpl::NoteExpiry(int64_t expires_at_ms) {
  if (expires_at_ms <= 0) return;
  int64_t known = next_expiry_ms_.load(std::memory_order_relaxed);
  while (expires_at_ms < known && !next_expiry_ms_.compare_exchange_weak(known, expires_at_ms)) {
  }
}

void CollectionImpl::AppendDrop(WriteBatch* batch) const {
  const std::string begin = CollectionPrefix(record_.id), end = storage::PrefixEnd(begin);
  for (Table table : {Table::kDocuments, Table::kSources, Table::kChunks, Table::kVectors, Table::kFields,
                      Table::kTombstones, Table::kExpiry}) {
    batch->DeleteRange(table, begin, end);
  }
  for (const auto& space : spaces_) space->AppendDrop(batch);
  batch->Delete(Table::kMeta, VidLimitKey(record_.id));
  batch->Delete(Table::kCatalog, CollectionNameKey(record_.name));
  batch->Count(Counter::kDocuments, -static_cast<int64_t>(directory_.documents()));
  batch->Count(Counter::kChunks, -static_cast<int64_t>(directory_.chunks()));
}

}  // namespace larder
