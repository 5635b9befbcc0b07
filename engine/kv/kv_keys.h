// The keys of KV entries and of the rows that say which chunks own them.
//
//   kKvEntries  entry key = string(tenant) profile[32] sha256(tokens)[32] variant[1] context[32]
//   kKvOwners   'c' collection[4] vid[8] entry key      the entries of a chunk
//               'e' entry key collection[4] vid[8]      the chunks of an entry
//
// string() is AppendKeyString, numbers are big endian, tokens are hashed as little-endian int32.
// Variant 0 (no context) ends there; the other kinds append the SHA-256 of their context's hashes, so
// that the variants of a chunk lie side by side and no key is another's prefix.
#ifndef LARDER_ENGINE_KV_KV_KEYS_H_
#define LARDER_ENGINE_KV_KV_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "larder/kv_types.h"

namespace larder::kv {

inline constexpr uint32_t kMaxTokens = 1'048'576;
inline constexpr size_t kMaxTenantBytes = 1'024;
inline constexpr size_t kHashBytes = 32;
inline constexpr size_t kMaxContext = 1'024;  // chunks

// SHA-256, raw.
std::string Sha256(absl::string_view bytes);
std::string TokenHash(absl::Span<const int32_t> tokens);

// 1 to kMaxTokens ids, none negative.
absl::Status ValidateTokens(absl::Span<const int32_t> tokens);
// At most kMaxTenantBytes, no NUL; "" is the tenant of collections without tenants.
absl::Status ValidateTenant(absl::string_view tenant);
// 64 lower-case hex digits -> 32 bytes. InvalidArgument otherwise.
absl::StatusOr<std::string> ProfileBytes(absl::string_view profile_id);

// The hashes of a variant's context, raw, one after the other; a source set's sorted, each once.
// InvalidArgument for a kind or hashes that KvVariant does not allow.
absl::StatusOr<std::string> ContextBytes(const KvVariant& variant);

// Validates all parts.
absl::StatusOr<std::string> EntryKey(absl::string_view tenant, absl::string_view profile_id,
                                     absl::Span<const int32_t> tokens, const KvVariant& variant = {});
absl::StatusOr<std::string> EntryKey(const KvKey& key);
// Of an entry without context, whose tokens are known by their hash only.
absl::StatusOr<std::string> EntryKeyOfHash(absl::string_view tenant, absl::string_view profile_id,
                                           absl::string_view token_hash);

struct EntryKeyParts {
  std::string tenant;
  std::string profile_id;  // hex
  std::string token_hash;  // raw
  KvVariantKind variant = KvVariantKind::kNone;
  std::string context_hash;  // raw; "" for kNone
};
absl::StatusOr<EntryKeyParts> ParseEntryKey(absl::string_view entry_key);
// For messages: tenant, and the first digits of profile and token hash.
std::string EntryName(absl::string_view entry_key);

struct OwnerRow {
  uint32_t collection = 0;
  uint64_t vid = 0;
  std::string entry_key;
  friend bool operator==(const OwnerRow&, const OwnerRow&) = default;
};
std::string CollectionOwnersPrefix(uint32_t collection);
std::string ChunkOwnersPrefix(uint32_t collection, uint64_t vid);
std::string EntryOwnersPrefix(absl::string_view entry_key);
std::string ChunkOwnerKey(const OwnerRow& row);
std::string EntryOwnerKey(const OwnerRow& row);
inline constexpr char kChunkOwnerTag = 'c';
inline constexpr char kEntryOwnerTag = 'e';
// Either kind of row. DataLoss if malformed.
absl::StatusOr<OwnerRow> ParseOwnerKey(absl::string_view key);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_KEYS_H_
