// What the parts of the KV cache share.
#ifndef LARDER_ENGINE_KV_KV_CONTEXT_H_
#define LARDER_ENGINE_KV_KV_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/kv/kv_locks.h"
#include "engine/kv/kv_profile.h"
#include "engine/kv/pool/kv_pool.h"
#include "larder/kv_types.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder {

// A chunk as the store knows it.
struct ChunkRef {
  uint32_t collection = 0;
  uint64_t vid = 0;
  friend bool operator==(const ChunkRef&, const ChunkRef&) = default;
};

// Finds an owner's chunk; NotFound if there is none. It must answer from committed state, and must
// take no lock that a thread may hold while it calls KvCacheImpl::DropChunks or DropCollection or
// holds their guard: it is called with the owners' chunks locked, which those calls wait for.
using ChunkResolver = std::function<absl::StatusOr<ChunkRef>(absl::string_view tenant, const KvOwner& owner)>;

namespace kv {

class KvTier;

// Lock order: chunks, then entries, then any mutex of a part. Who adds owner rows to a chunk holds
// its chunk lock; who writes an entry's record or owner rows holds its entry lock; both are held
// until the write has returned.
struct KvContext {
  KvContext(storage::Store* store, storage::ExtentStore* extents, std::function<absl::Time()> clock,
            ChunkResolver resolve, KvTier* tier, std::shared_ptr<KvPool> pool = nullptr)
      : store(store),
        extents(extents),
        clock(std::move(clock)),
        resolve(std::move(resolve)),
        tier(tier),
        pool(std::move(pool)),
        profiles(store) {}

  storage::Store* const store;
  storage::ExtentStore* const extents;
  const std::function<absl::Time()> clock;
  const ChunkResolver resolve;
  KvTier* const tier;                  // told of every entry that is written or removed
  const std::shared_ptr<KvPool> pool;  // shared memory; null if there is none
  ProfileCatalog profiles;
  KeyLocks chunk_locks;  // keys: ChunkOwnersPrefix
  KeyLocks entry_locks;  // keys: entry keys
};

}  // namespace kv
}  // namespace larder

#endif  // LARDER_ENGINE_KV_KV_CONTEXT_H_
