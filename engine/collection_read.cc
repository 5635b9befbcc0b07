// Documents read back: by id, in order, counted.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/collection_impl.h"
#include "engine/keys.h"
#include "engine/limits.h"
#include "engine/metadata_index.h"
#include "storage/status_macros.h"

namespace larder {

using storage::Table;

namespace {

constexpr absl::string_view kCursorPrefix = "after:";

Document ToDocument(absl::string_view tenant, absl::string_view id, const DocumentRecord& record) {
  Document document;
  document.id = std::string(id);
  document.tenant = std::string(tenant);
  document.title = record.title;
  document.uri = record.uri;
  document.media_type = record.media_type;
  document.metadata = record.metadata;
  document.expires_at_ms = record.expires_at_ms;
  document.version = record.version;
  return document;
}

std::string DocumentName(absl::string_view id) { return absl::StrCat("document \"", id, "\""); }

}  // namespace

bool CollectionImpl::Expired(const DocumentRecord& record) const {
  return record.expires_at_ms > 0 && record.expires_at_ms <= services_->NowMs();
}

absl::StatusOr<DocumentRecord> CollectionImpl::ReadDocument(absl::string_view tenant, absl::string_view id) const {
  const auto bytes = services_->store->Get(Table::kDocuments, DocumentKey(record_.id, tenant, id));
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(absl::StrCat(DocumentName(id), " is not in collection \"", record_.name, "\""));
  }
  RETURN_IF_ERROR(bytes.status());
  return DecodeDocument(*bytes, DocumentName(id));
}

absl::StatusOr<ChunkRecord> CollectionImpl::ReadChunk(uint64_t vid) const {
  ASSIGN_OR_RETURN(const std::string bytes, services_->store->Get(Table::kChunks, ChunkKey(record_.id, vid)));
  return DecodeChunk(bytes, absl::StrCat("chunk of vid ", vid));
}

absl::StatusOr<Metadata> CollectionImpl::MetadataOf(uint64_t vid) const {
  ASSIGN_OR_RETURN(const ChunkRecord chunk, ReadChunk(vid));
  ASSIGN_OR_RETURN(const DocumentRecord document, ReadDocument(chunk.tenant, chunk.document_id));
  return MergeMetadata(document.metadata, chunk.metadata);
}

absl::StatusOr<Document> CollectionImpl::Get(absl::string_view id, absl::string_view tenant,
                                             bool include_chunks) const {
  RETURN_IF_ERROR(ValidateId(id));
  RETURN_IF_ERROR(ValidateTenant(tenant));
  ASSIGN_OR_RETURN(const DocumentRecord record, ReadDocument(tenant, id));
  if (Expired(record)) return absl::NotFoundError(absl::StrCat(DocumentName(id), " has expired"));
  Document document = ToDocument(tenant, id, record);
  if (record.text_bytes > 0) {
    ASSIGN_OR_RETURN(document.text,
                     services_->store->Get(Table::kSources, DocumentKey(record_.id, tenant, id)));
  }
  if (!include_chunks) return document;
  for (uint64_t vid : record.vids) {
    ASSIGN_OR_RETURN(ChunkRecord chunk, ReadChunk(vid));
    GivenChunk given;
    given.text = std::move(chunk.text);
    given.section = std::move(chunk.section);
    given.metadata = std::move(chunk.metadata);
    if (chunk.span.end > chunk.span.begin) given.span = chunk.span;
    for (const auto& space : spaces_) {
      const VectorSpaceOptions& options = space->options();
      ASSIGN_OR_RETURN(const std::string bytes, services_->store->Get(
                                                    Table::kVectors, VectorKey(record_.id, space->number(), vid)));
      ASSIGN_OR_RETURN(given.vectors[options.name],
                       DecodeVector(bytes, options.dimension, absl::StrCat("vector of vid ", vid)));
    }
    document.chunks.push_back(std::move(given));
  }
  return document;
}

absl::StatusOr<std::vector<Chunk>> CollectionImpl::Chunks(absl::string_view id, absl::string_view tenant) const {
  RETURN_IF_ERROR(ValidateId(id));
  RETURN_IF_ERROR(ValidateTenant(tenant));
  ASSIGN_OR_RETURN(const DocumentRecord record, ReadDocument(tenant, id));
  if (Expired(record)) return absl::NotFoundError(absl::StrCat(DocumentName(id), " has expired"));
  std::vector<Chunk> chunks;
  for (uint64_t vid : record.vids) {
    ASSIGN_OR_RETURN(ChunkRecord stored, ReadChunk(vid));
    Chunk chunk;
    chunk.vid = vid;
    chunk.document_id = std::move(stored.document_id);
    chunk.tenant = std::move(stored.tenant);
    chunk.ordinal = stored.ordinal;
    chunk.span = stored.span;
    chunk.section = std::move(stored.section);
    chunk.token_count = stored.token_count;
    chunk.text = std::move(stored.text);
    chunk.metadata = MergeMetadata(record.metadata, stored.metadata);
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

absl::StatusOr<uint64_t> CollectionImpl::ResolveChunk(absl::string_view tenant, absl::string_view id,
                                                      uint32_t ordinal) const {
  ASSIGN_OR_RETURN(const DocumentRecord record, ReadDocument(tenant, id));
  if (ordinal < record.vids.size() && !Expired(record)) return record.vids[ordinal];
  return absl::NotFoundError(absl::StrCat(DocumentName(id), " has ", record.vids.size(), " chunks, no chunk ", ordinal));
}

absl::StatusOr<ScrollReply> CollectionImpl::Scroll(const ScrollRequest& request) const {
  RETURN_IF_ERROR(ValidateTenant(request.tenant));
  if (request.limit == 0 || request.limit > kMaxK) {
    return absl::InvalidArgumentError(absl::StrCat("limit is ", request.limit, ", expected 1 to ", kMaxK));
  }
  ASSIGN_OR_RETURN(const Filter filter, ParseFilter(request.filter));
  const std::string prefix = TenantPrefix(record_.id, request.tenant);
  auto it = services_->store->NewIterator(Table::kDocuments, prefix);
  absl::string_view cursor = request.cursor;
  if (!cursor.empty()) {
    if (!absl::ConsumePrefix(&cursor, kCursorPrefix)) {
      return absl::InvalidArgumentError(absl::StrCat("cursor \"", cursor.substr(0, 80), "\" is not one of ours"));
    }
    it->Seek(DocumentKey(record_.id, request.tenant, cursor) + '\0');
  }
  ScrollReply reply;
  for (; it->Valid(); it->Next()) {
    const std::string row(it->key());
    absl::string_view key = absl::string_view(row).substr(prefix.size());
    ASSIGN_OR_RETURN(const std::string id, storage::ReadKeyString(&key));
    ASSIGN_OR_RETURN(const absl::string_view bytes, it->value());
    ASSIGN_OR_RETURN(const DocumentRecord record, DecodeDocument(bytes, DocumentName(id)));
    if (Expired(record) || !Matches(filter, record.metadata)) continue;
    if (reply.documents.size() == request.limit) {
      reply.cursor = absl::StrCat(kCursorPrefix, reply.documents.back().id);
      return reply;
    }
    reply.documents.push_back(ToDocument(request.tenant, id, record));
    if (!request.include_text || record.text_bytes == 0) continue;
    const auto text = services_->store->Get(Table::kSources, row);
    if (text.ok()) {
      reply.documents.back().text = *text;
    } else if (absl::IsNotFound(text.status())) {
      reply.documents.pop_back();  // deleted since the iterator was made
    } else {
      return text.status();
    }
  }
  RETURN_IF_ERROR(it->status());
  return reply;
}

absl::StatusOr<uint64_t> CollectionImpl::Count(absl::string_view filter, absl::string_view tenant) const {
  ASSIGN_OR_RETURN(const Filter parsed, ParseFilter(filter));
  bool all = false;
  ASSIGN_OR_RETURN(const index::VidSet matches, Match(parsed, tenant, &all));
  return all ? directory_.documents() : directory_.DocumentsOf(matches).size();
}

}  // namespace larder
