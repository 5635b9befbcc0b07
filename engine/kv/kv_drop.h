// Takes entries away: with the chunks that own them, by key, or because they are damaged.
#ifndef LARDER_ENGINE_KV_KV_DROP_H_
#define LARDER_ENGINE_KV_KV_DROP_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_locks.h"
#include "storage/store.h"

namespace larder {

namespace kv {

// Tells the tier of entries that a batch may have removed, when that batch has been written or given up.
class RefreshLater {
 public:
  RefreshLater() = default;
  RefreshLater(KvTier* tier, std::vector<std::string> entry_keys) : tier_(tier), keys_(std::move(entry_keys)) {}
  RefreshLater(RefreshLater&& other) noexcept { *this = std::move(other); }
  RefreshLater& operator=(RefreshLater&& other) noexcept;
  ~RefreshLater();

 private:
  KvTier* tier_ = nullptr;
  std::vector<std::string> keys_;
};

}  // namespace kv

// Keeps the chunks and entries that a batch touches from changing. Hold it until Store::Write of that
// batch has returned, whatever it returned.
struct KvDropGuard {
  kv::KeyLocks::Held chunks;
  kv::KeyLocks::Held entries;  // let go before the chunks
  kv::RefreshLater refresh;    // of the entries, while they are still held
};

namespace kv {

absl::StatusOr<std::vector<OwnerRow>> ReadOwners(const storage::Store& store, absl::string_view entry_key);

// Adds to `batch` the removal of the entry: record, extents, owner rows in both directions, counter.
// Nothing is added if there is none. The caller holds the entry's lock. A record too damaged to name
// its extents is removed all the same; its extents are garbage that Relocate disowns.
absl::Status DropEntry(const KvContext& context, absl::string_view entry_key, storage::WriteBatch* batch);

// See KvCacheImpl.
absl::StatusOr<KvDropGuard> DropChunks(KvContext* context, uint32_t collection,
                                       absl::Span<const uint64_t> vids, storage::WriteBatch* batch);
absl::StatusOr<KvDropGuard> DropCollection(KvContext* context, uint32_t collection,
                                           storage::WriteBatch* batch);

}  // namespace kv
}  // namespace larder

#endif  // LARDER_ENGINE_KV_KV_DROP_H_
