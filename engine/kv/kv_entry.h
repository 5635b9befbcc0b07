// The record of one KV entry: whose it is, its token ids, and where each layer's K and V lie.
#ifndef LARDER_ENGINE_KV_KV_ENTRY_H_
#define LARDER_ENGINE_KV_KV_ENTRY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/kv_keys.h"
#include "storage/extent_store.h"

namespace larder::kv {

inline constexpr uint32_t kMaxLayers = 1'024;

struct EntryLayer {
  storage::ExtentPointer k, v;
  friend bool operator==(const EntryLayer&, const EntryLayer&) = default;
};

// What Lookup and Plan need; it stands before the pointers, so that they need not be decoded.
struct EntryHeader {
  VariantKind variant = VariantKind::kNone;
  int64_t created_ms = 0;
  std::string codec;       // of the payloads
  std::string profile_id;  // hex
  std::string tenant;
  uint32_t token_count = 0;
  std::string tokens;  // EncodeTokens
  uint64_t bytes = 0;  // stored bytes of all layers, K and V
  friend bool operator==(const EntryHeader&, const EntryHeader&) = default;
};

struct Entry {
  EntryHeader header;
  std::vector<EntryLayer> layers;  // by layer number
  friend bool operator==(const Entry&, const Entry&) = default;
};

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
