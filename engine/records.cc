#include "engine/records.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/limits.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using storage::RecordReader;
using storage::RecordWriter;

constexpr uint8_t kVersion = 1;
constexpr uint8_t kCollectionVersion = 2;  // 2: a space's row_code and prefix
enum ScalarTag : uint8_t { kBool = 0, kInt = 1, kDouble = 2, kString = 3 };

void WriteScalar(const Scalar& value, RecordWriter* out) {
  out->U8(static_cast<uint8_t>(value.index()));
  switch (value.index()) {
    case kBool: return out->U8(std::get<bool>(value));
    case kInt: return out->U64(static_cast<uint64_t>(std::get<int64_t>(value)));
    case kDouble: return out->Double(std::get<double>(value));
    default: return out->Bytes(std::get<std::string>(value));
  }
}

absl::StatusOr<Scalar> ReadScalar(RecordReader* in) {
  switch (const uint8_t tag = in->U8()) {
    case kBool: return Scalar(in->U8() != 0);
    case kInt: return Scalar(static_cast<int64_t>(in->U64()));
    case kDouble: return Scalar(in->Double());
    case kString: return Scalar(std::string(in->Bytes()));
    default: return absl::DataLossError(absl::StrCat("metadata value of unknown type ", tag));
  }
}

void WriteMetadata(const Metadata& metadata, RecordWriter* out) {
  out->Varint(metadata.size());
  for (const auto& [name, value] : metadata) {
    out->Bytes(name);
    out->U8(value.is_list);
    out->Varint(value.values.size());
    for (const Scalar& scalar : value.values) WriteScalar(scalar, out);
  }
}

absl::StatusOr<Metadata> ReadMetadata(RecordReader* in) {
  Metadata metadata;
  const uint64_t fields = in->Varint();
  for (uint64_t i = 0; i < fields && in->status().ok(); ++i) {
    std::string name(in->Bytes());
    MetadataValue value;
    value.is_list = in->U8() != 0;
    const uint64_t count = in->Varint();
    for (uint64_t j = 0; j < count && in->status().ok(); ++j) {
      ASSIGN_OR_RETURN(Scalar scalar, ReadScalar(in));
      value.values.push_back(std::move(scalar));
    }
    metadata.emplace(std::move(name), std::move(value));
  }
  RETURN_IF_ERROR(in->status());
  return metadata;
}

// A record must end where its last known field does, unless a later version wrote it.
absl::Status Finished(const RecordReader& in, absl::string_view what) {
  RETURN_IF_ERROR(in.status());
  if (in.AtEnd()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(what, ": bytes after the last field"));
}

}  // namespace

std::string EncodeDocument(const DocumentRecord& record) {
  RecordWriter out(kVersion);
  out.Varint(record.version);
  out.Bytes(record.title);
  out.Bytes(record.uri);
  out.Bytes(record.media_type);
  WriteMetadata(record.metadata, &out);
  out.Varint(static_cast<uint64_t>(record.expires_at_ms));
  out.Varint(record.text_bytes);
  out.U8(record.given_chunks);
  out.Varint(record.vids.size());
  uint64_t previous = 0;  // vids of one document ascend, so deltas stay small
  for (uint64_t vid : record.vids) {
    out.Varint(vid - previous);
    previous = vid;
  }
  return std::move(out).Finish();
}

absl::StatusOr<DocumentRecord> DecodeDocument(absl::string_view bytes, absl::string_view what) {
  RecordReader in(bytes, kVersion, what);
  DocumentRecord record;
  record.version = in.Varint();
  record.title = std::string(in.Bytes());
  record.uri = std::string(in.Bytes());
  record.media_type = std::string(in.Bytes());
  ASSIGN_OR_RETURN(record.metadata, ReadMetadata(&in));
  record.expires_at_ms = static_cast<int64_t>(in.Varint());
  record.text_bytes = in.Varint();
  record.given_chunks = in.U8() != 0;
  const uint64_t count = in.Varint();
  uint64_t vid = 0;
  for (uint64_t i = 0; i < count && in.status().ok(); ++i) record.vids.push_back(vid += in.Varint());
  RETURN_IF_ERROR(Finished(in, what));
  return record;
}

std::string EncodeChunk(const ChunkRecord& record) {
  RecordWriter out(kVersion);
  out.Bytes(record.document_id);
  out.Bytes(record.tenant);
  out.Varint(record.ordinal);
  out.Varint(record.span.begin);
  out.Varint(record.span.end);
  out.Bytes(record.section);
  out.Varint(record.token_count);
  out.Bytes(record.text);
  WriteMetadata(record.metadata, &out);
  return std::move(out).Finish();
}

absl::StatusOr<ChunkRecord> DecodeChunk(absl::string_view bytes, absl::string_view what) {
  RecordReader in(bytes, kVersion, what);
  ChunkRecord record;
  record.document_id = std::string(in.Bytes());
  record.tenant = std::string(in.Bytes());
  record.ordinal = static_cast<uint32_t>(in.Varint());
  record.span.begin = in.Varint();
  record.span.end = in.Varint();
  record.section = std::string(in.Bytes());
  record.token_count = static_cast<uint32_t>(in.Varint());
  record.text = std::string(in.Bytes());
  ASSIGN_OR_RETURN(record.metadata, ReadMetadata(&in));
  RETURN_IF_ERROR(Finished(in, what));
  return record;
}

std::string EncodeCollection(const CollectionRecord& record) {
  RecordWriter out(kCollectionVersion);
  const CollectionOptions& options = record.options;
  out.U32(record.id);
  out.Bytes(record.name);
  out.Bytes(record.embedder_fingerprint);
  out.U8(static_cast<uint8_t>(options.embedder));
  out.Bytes(options.http.url);
  out.Bytes(options.http.model);
  out.Bytes(options.http.api_key_env);
  out.Varint(options.http.batch);
  out.Varint(options.http.max_attempts);
  out.Varint(absl::ToInt64Milliseconds(options.http.timeout));
  out.Varint(options.chunking.max_tokens);
  out.Varint(options.chunking.overlap_tokens);
  out.U8(options.chunking.prepend_title);
  out.Varint(options.spaces.size());
  for (const VectorSpaceOptions& space : options.spaces) {
    out.Bytes(space.name);
    out.Varint(space.dimension);
    out.U8(static_cast<uint8_t>(space.metric));
    out.U8(static_cast<uint8_t>(space.index));
    out.Varint(space.hnsw.m);
    out.Varint(space.hnsw.ef_construction);
    out.Varint(space.hnsw.ef_search);
    out.U8(static_cast<uint8_t>(space.hnsw.row_code));
    out.Varint(space.prefix);
  }
  return std::move(out).Finish();
}

namespace {

VectorSpaceOptions ReadSpace(RecordReader* in) {
  VectorSpaceOptions space;
  space.name = std::string(in->Bytes());
  space.dimension = static_cast<uint32_t>(in->Varint());
  space.metric = static_cast<Metric>(in->U8());
  space.index = static_cast<IndexKind>(in->U8());
  space.hnsw.m = static_cast<uint32_t>(in->Varint());
  space.hnsw.ef_construction = static_cast<uint32_t>(in->Varint());
  space.hnsw.ef_search = static_cast<uint32_t>(in->Varint());
  if (in->version() >= 2) {
    space.hnsw.row_code = static_cast<RowCode>(in->U8());
    space.prefix = static_cast<uint32_t>(in->Varint());
  }
  return space;
}

}  // namespace

absl::StatusOr<CollectionRecord> DecodeCollection(absl::string_view bytes, absl::string_view what) {
  RecordReader in(bytes, kCollectionVersion, what);
  CollectionRecord record;
  CollectionOptions& options = record.options;
  record.id = in.U32();
  record.name = std::string(in.Bytes());
  record.embedder_fingerprint = std::string(in.Bytes());
  options.embedder = static_cast<EmbedderKind>(in.U8());
  options.http.url = std::string(in.Bytes());
  options.http.model = std::string(in.Bytes());
  options.http.api_key_env = std::string(in.Bytes());
  options.http.batch = static_cast<uint32_t>(in.Varint());
  options.http.max_attempts = static_cast<uint32_t>(in.Varint());
  options.http.timeout = absl::Milliseconds(in.Varint());
  options.chunking.max_tokens = static_cast<uint32_t>(in.Varint());
  options.chunking.overlap_tokens = static_cast<uint32_t>(in.Varint());
  options.chunking.prepend_title = in.U8() != 0;
  options.spaces.clear();
  const uint64_t spaces = in.Varint();
  for (uint64_t i = 0; i < spaces && in.status().ok(); ++i) options.spaces.push_back(ReadSpace(&in));
  RETURN_IF_ERROR(Finished(in, what));
  if (absl::Status status = options.Validate(); !status.ok()) {
    return absl::DataLossError(absl::StrCat(what, ": ", status.message()));
  }
  return record;
}

std::string EncodeVector(const float* values, size_t dimension) {
  return std::string(reinterpret_cast<const char*>(values), dimension * sizeof(float));
}

absl::StatusOr<std::vector<float>> DecodeVector(absl::string_view bytes, uint32_t dimension,
                                                absl::string_view what) {
  if (bytes.size() != dimension * sizeof(float)) {
    return absl::DataLossError(absl::StrCat(what, ": vector of ", bytes.size(), " bytes, expected ",
                                            dimension * sizeof(float)));
  }
  std::vector<float> values(dimension);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Metadata MergeMetadata(const Metadata& document, const Metadata& chunk) {
  Metadata merged = chunk;
  merged.insert(document.begin(), document.end());  // keeps what the chunk has
  return merged;
}

}  // namespace larder
