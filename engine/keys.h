// Keys of the engine's rows. A collection's rows share a 4-byte prefix in every table, so that
// dropping it is one range a table.
#ifndef LARDER_ENGINE_KEYS_H_
#define LARDER_ENGINE_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/coding.h"

namespace larder {

inline std::string CollectionPrefix(uint32_t collection) {
  std::string key;
  storage::AppendKey32(collection, &key);
  return key;
}

// kDocuments, kSources
inline std::string TenantPrefix(uint32_t collection, absl::string_view tenant) {
  std::string key = CollectionPrefix(collection);
  storage::AppendKeyString(tenant, &key);
  return key;
}
inline std::string DocumentKey(uint32_t collection, absl::string_view tenant, absl::string_view id) {
  std::string key = TenantPrefix(collection, tenant);
  storage::AppendKeyString(id, &key);
  return key;
}

// kChunks, kTombstones
inline std::string ChunkKey(uint32_t collection, uint64_t vid) {
  std::string key = CollectionPrefix(collection);
  storage::AppendKey64(vid, &key);
  return key;
}

// kVectors
inline std::string SpacePrefix(uint32_t collection, uint16_t space) {
  std::string key = CollectionPrefix(collection);
  storage::AppendKey16(space, &key);
  return key;
}
inline std::string VectorKey(uint32_t collection, uint16_t space, uint64_t vid) {
  std::string key = SpacePrefix(collection, space);
  storage::AppendKey64(vid, &key);
  return key;
}
inline uint64_t VidOfKey(absl::string_view key) { return storage::ReadKey64(key.data() + key.size() - 8); }

// kExpiry
inline std::string ExpiryKey(uint32_t collection, int64_t expires_at_ms, absl::string_view tenant,
                             absl::string_view id) {
  std::string key = CollectionPrefix(collection);
  storage::AppendKeyInt64(expires_at_ms, &key);
  storage::AppendKeyString(tenant, &key);
  storage::AppendKeyString(id, &key);
  return key;
}

// kCatalog and kMeta
inline std::string CollectionNameKey(absl::string_view name) {
  return std::string("collection/").append(name.data(), name.size());
}
inline std::string VidLimitKey(uint32_t collection) { return "vid/" + CollectionPrefix(collection); }
inline constexpr char kNextCollectionKey[] = "next-collection";

}  // namespace larder

#endif  // LARDER_ENGINE_KEYS_H_
