// Follows extents that garbage collection moves.
#ifndef LARDER_ENGINE_KV_KV_RELOCATE_H_
#define LARDER_ENGINE_KV_KV_RELOCATE_H_

#include "absl/status/statusor.h"
#include "engine/kv/kv_context.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder::kv {

// See ExtentStore::CollectGarbage. Adds to `batch` the entry's record with `from` replaced by `to`, and
// writes it under the entry's lock, leaving the batch empty. False, and nothing written, if the entry is
// gone, or damaged, or does not hold `from`.
absl::StatusOr<bool> Relocate(KvContext* context, const storage::ExtentOwner& owner,
                              const storage::ExtentPointer& from, const storage::ExtentPointer& to,
                              storage::WriteBatch* batch);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_RELOCATE_H_
