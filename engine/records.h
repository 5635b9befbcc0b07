// What the engine's records hold, and their bytes (storage/FORMAT.md describes tables and keys).
// Encoding is storage::RecordWriter's; decoding never trusts its input.
#ifndef LARDER_ENGINE_RECORDS_H_
#define LARDER_ENGINE_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

struct DocumentRecord {
  uint64_t version = 0;
  std::string title, uri, media_type;
  Metadata metadata;
  int64_t expires_at_ms = 0;
  uint64_t text_bytes = 0;       // of the row in kSources; 0 = no row
  std::vector<uint64_t> vids;    // of its chunks, by ordinal
  bool given_chunks = false;     // cut by the caller, not by us
};
std::string EncodeDocument(const DocumentRecord& record);
absl::StatusOr<DocumentRecord> DecodeDocument(absl::string_view bytes, absl::string_view what);

struct ChunkRecord {
  std::string document_id, tenant;
  uint32_t ordinal = 0;
  ByteSpan span;
  std::string section;
  uint32_t token_count = 0;
  std::string text;
  Metadata metadata;             // the chunk's own, without the document's
};
std::string EncodeChunk(const ChunkRecord& record);
absl::StatusOr<ChunkRecord> DecodeChunk(absl::string_view bytes, absl::string_view what);

struct CollectionRecord {
  uint32_t id = 0;               // never reused
  std::string name;
  CollectionOptions options;     // dimensions resolved
  std::string embedder_fingerprint;
};
std::string EncodeCollection(const CollectionRecord& record);
absl::StatusOr<CollectionRecord> DecodeCollection(absl::string_view bytes, absl::string_view what);

// f32, little endian. Decoding checks the length.
std::string EncodeVector(const float* values, size_t dimension);
absl::StatusOr<std::vector<float>> DecodeVector(absl::string_view bytes, uint32_t dimension,
                                                absl::string_view what);

// The document's metadata, overridden by the chunk's own.
Metadata MergeMetadata(const Metadata& document, const Metadata& chunk);

}  // namespace larder

#endif  // LARDER_ENGINE_RECORDS_H_
