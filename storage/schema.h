// What the tables hold, and how each is stored. Key layouts are beside the enum in store.h; the
// values of all tables but kMeta are records of the engine (kExtents: of the extent store).
#ifndef LARDER_STORAGE_SCHEMA_H_
#define LARDER_STORAGE_SCHEMA_H_

#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

enum class Compression : uint8_t {
  kNone,     // vectors and hashes do not shrink
  kFast,     // LZ4
  kCompact,  // LZ4, and zstd once a record has sunk to the last level
};

struct TableTraits {
  absl::string_view name;  // the RocksDB column family; part of the format
  Compression compression;
  bool point_lookups;  // worth a bloom filter
  int since = 1;       // the format version that brought it: an older database gets it when it is opened
};

// In the order of Table. The first must be RocksDB's "default".
inline constexpr TableTraits kTables[kTableCount] = {
    {"default", Compression::kFast, false},     // kMeta
    {"catalog", Compression::kFast, false},     // kCatalog
    {"documents", Compression::kFast, true},    // kDocuments
    {"sources", Compression::kCompact, true},   // kSources
    {"chunks", Compression::kCompact, true},    // kChunks
    {"vectors", Compression::kNone, true},      // kVectors
    {"fields", Compression::kFast, false},      // kFields
    {"tombstones", Compression::kFast, false},  // kTombstones
    {"expiry", Compression::kFast, false},      // kExpiry
    {"kv_entries", Compression::kFast, true},   // kKvEntries
    {"kv_owners", Compression::kFast, false},   // kKvOwners
    {"extents", Compression::kFast, true},      // kExtents
    {"tree", Compression::kNone, true, 2},      // kTree
};

// kMeta keys that the store owns. A batch may not change them: what it says is overwritten.
inline constexpr absl::string_view kCommitKey = "commit";  // -> CommitRecord

}  // namespace larder::storage

#endif  // LARDER_STORAGE_SCHEMA_H_
