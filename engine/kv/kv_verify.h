// Compares what the KV cache's records say of one another.
#ifndef LARDER_ENGINE_KV_KV_VERIFY_H_
#define LARDER_ENGINE_KV_KV_VERIFY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kv/kv_context.h"
#include "storage/store.h"

namespace larder {

// Whether a chunk exists in the snapshot that is verified.
using ChunkExists = std::function<absl::StatusOr<bool>(const ChunkRef&)>;

namespace kv {

// Checks, under one snapshot, that every entry decodes, that its key is its tenant, profile and token
// hash, that its profile is registered and its layers have the profile's number and sizes, that its
// extents exist in Table::kExtents and belong to it, and no others do; that owner rows agree in both
// directions and name entries (and, if `exists` is given, chunks) that exist. Does not read payloads:
// ExtentStore::Verify does. Appends to `problems`; returns how many records were read.
absl::StatusOr<uint64_t> Verify(const KvContext& context, const storage::Snapshot* snapshot,
                                const ChunkExists& exists, std::vector<std::string>* problems);

}  // namespace kv
}  // namespace larder

#endif  // LARDER_ENGINE_KV_KV_VERIFY_H_
