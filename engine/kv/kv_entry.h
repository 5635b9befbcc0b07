// The record of one KV entry: whose it is, its token ids, the context it was computed in, and where each
// layer's K and V and its sidecars lie. Version 1 had neither context, base position nor sidecars.
#ifndef LARDER_ENGINE_KV_KV_ENTRY_H_
#define LARDER_ENGINE_KV_KV_ENTRY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/kv_keys.h"
#include "larder/kv_types.h"
#include "storage/extent_store.h"

namespace larder::kv {

inline constexpr uint32_t kMaxLayers = 1'024;

struct EntryLayer {
  storage::ExtentPointer k, v;
  friend bool operator==(const EntryLayer&, const EntryLayer&) = default;
};

struct EntrySidecar {
  KvSidecarKind kind = KvSidecarKind::kSaliency;
  storage::ExtentPointer bytes;
  friend bool operator==(const EntrySidecar&, const EntrySidecar&) = default;
};

// What Lookup and Plan need; it stands before the pointers, so that they need not be decoded.
struct EntryHeader {
  KvVariantKind variant = KvVariantKind::kNone;
  int64_t created_ms = 0;
  std::string codec;       // of the payloads
  std::string profile_id;  // hex
  std::string tenant;
  uint32_t token_count = 0;
  std::string tokens;  // EncodeTokens
  uint64_t bytes = 0;  // stored bytes of all layers, K and V
  std::string context;                   // ContextBytes
  std::optional<uint32_t> rotated_from;  // position of K's first token; absent: K is kept before RoPE
  friend bool operator==(const EntryHeader&, const EntryHeader&) = default;
};

struct Entry {
  EntryHeader header;
  std::vector<EntryLayer> layers;      // by layer number
  std::vector<EntrySidecar> sidecars;  // by kind, each once
  friend bool operator==(const Entry&, const Entry&) = default;
};

// Every extent of the entry, in the order in which the record names them.
std::vector<storage::ExtentPointer> PointersOf(const Entry& entry);
bool Holds(const Entry& entry, const storage::ExtentPointer& pointer);

// Varints, one a token. One sequence has one encoding: equal bytes are equal tokens.
std::string EncodeTokens(absl::Span<const int32_t> tokens);
absl::StatusOr<std::vector<int32_t>> DecodeTokens(absl::string_view bytes, uint32_t count);

// Sets header.bytes from the layers.
std::string EncodeEntry(Entry entry);
// DataLoss, beginning with `what`, for anything that EncodeEntry does not write.
absl::StatusOr<Entry> DecodeEntry(absl::string_view record, absl::string_view what);
absl::StatusOr<EntryHeader> DecodeEntryHeader(absl::string_view record, absl::string_view what);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_ENTRY_H_
