// Entries in shared memory: brought there from the store, and handed to readers.
#ifndef LARDER_ENGINE_KV_KV_SHARED_H_
#define LARDER_ENGINE_KV_KV_SHARED_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/pool/kv_pool.h"
#include "larder/kv_types.h"
#include "larder/kv_view.h"

namespace larder::kv {

// FailedPrecondition if the database has no shared memory.
absl::Status CheckPool(const KvContext& context);

// Copies the entry into shared memory, if it is not there. The caller holds none of the context's locks.
// Nothing is published of an entry that was deleted or replaced meanwhile. NotFound on a miss, DataLoss
// for one that is damaged, ResourceExhausted if there is no room.
absl::Status Promote(KvContext* context, const std::string& entry_key, const EntryHeader& expected);

// A lease on the entry, which is promoted first if it has to be.
absl::StatusOr<PoolGrant> AcquireGrant(KvContext* context, ClientId client, const KvKey& key);
absl::StatusOr<KvView> AcquireView(KvContext* context, const KvKey& key);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_SHARED_H_
