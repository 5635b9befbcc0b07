// The KV cache as the engine holds it: KvCache's calls, and the hooks by which KV follows documents.
#ifndef LARDER_ENGINE_KV_KV_CACHE_IMPL_H_
#define LARDER_ENGINE_KV_KV_CACHE_IMPL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_drop.h"
#include "engine/kv/kv_fill.h"
#include "engine/kv/kv_prefetch.h"
#include "engine/kv/kv_put.h"
#include "engine/kv/kv_tier.h"
#include "engine/kv/kv_verify.h"
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/kv_view.h"
#include "larder/options.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder {

// Thread-safe. Store and extent store must outlive it.
class KvCacheImpl {
 public:
  KvCacheImpl(storage::Store* store, storage::ExtentStore* extents, std::function<absl::Time()> clock,
              ChunkResolver resolve, std::shared_ptr<kv::KvPool> pool = nullptr,
              const KvOptions& options = {});
  ~KvCacheImpl() { Close(); }

  // Adds to `batch`, which deletes these chunks, the removal of their KV: their owner rows, and every
  // entry that no other chunk owns. Once a batch, with all its chunks: a second call for the same batch
  // would not see what the first has added, and would wait for the first's guard for ever. The caller
  // holds the guard until Store::Write has returned.
  absl::StatusOr<KvDropGuard> DropChunks(uint32_t collection, absl::Span<const uint64_t> vids,
                                         storage::WriteBatch* batch);
  // Likewise for every chunk of the collection. Waits for puts and drops under way.
  absl::StatusOr<KvDropGuard> DropCollection(uint32_t collection, storage::WriteBatch* batch);

  // For ExtentStore::CollectGarbage, where the owner's table is kKvEntries: an ExtentStore::Relocate.
  absl::StatusOr<bool> Relocate(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                const storage::ExtentPointer& to, storage::WriteBatch* batch);

  // See kv_verify.h. `snapshot` may be null only while nothing writes; `exists` may be null.
  absl::StatusOr<uint64_t> Verify(const storage::Snapshot* snapshot, const ChunkExists& exists,
                                  std::vector<std::string>* problems) const;

  // Evicts and expires what is due; see KvTier::Sweep.
  absl::StatusOr<uint64_t> Sweep();

  // Aborts puts that have been idle for ten minutes; PutBegin does so too. Returns how many.
  size_t ExpireSessions();
  // Ends leases of shared memory that are over.
  void ExpireLeases();
  // A lease for a process that reads shared memory itself. FailedPrecondition without a pool.
  absl::StatusOr<kv::PoolGrant> AcquireGrant(kv::ClientId client, const KvKey& key);
  const std::shared_ptr<kv::KvPool>& pool() const { return context_.pool; }  // may be null

  // For a search: may its hits be prefetched, and prefetch them. See KvPrefetcher.
  absl::Status CheckPrefetch(const std::string& profile_id) const { return prefetcher_.Check(profile_id); }
  void Prefetch(uint32_t collection, absl::Span<const uint64_t> vids, const std::string& profile_id) {
    prefetcher_.Start(collection, vids, profile_id);
  }

  // Waits for calls in flight and aborts open puts; from then on every call answers
  // FailedPrecondition. Guards must have been let go. Idempotent.
  void Close();

  // KvCache's calls (larder/kv.h).
  absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile);
  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) const;
  absl::StatusOr<std::vector<std::string>> ListProfiles() const;
  absl::StatusOr<KvPutHandle> PutBegin(const KvPutRequest& request);
  absl::Status PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v);
  absl::Status PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes);
  absl::Status PutCommit(KvPutHandle handle);
  absl::Status PutAbort(KvPutHandle handle);
  absl::StatusOr<uint32_t> AddOwners(const KvKey& key, absl::Span<const KvOwner> owners);
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::Span<const KvKey> keys) const;
  absl::StatusOr<std::vector<KvLayer>> Get(const KvKey& key, uint32_t first, uint32_t count);
  absl::Status Read(absl::Span<const KvReadRequest> requests, KvReadSink sink);
  absl::StatusOr<std::string> GetSidecar(const KvKey& key, KvSidecarKind kind);
  std::vector<absl::StatusOr<KvView>> Acquire(absl::Span<const KvKey> keys);
  absl::StatusOr<KvPlan> Plan(const KvPlanRequest& request) const;
  absl::StatusOr<bool> Delete(const KvKey& key);
  static absl::StatusOr<KvKeyHash> Hash(const KvKey& key);
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::string_view tenant,
                                               absl::Span<const KvKeyHash> keys) const;
  absl::Status Pin(const KvKey& key, bool pinned);
  absl::Status SetTtl(const KvKey& key, absl::Duration ttl);
  absl::Status SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes);
  absl::StatusOr<KvStats> Stats() const;

 private:
  absl::Status CheckOpen() const ABSL_SHARED_LOCKS_REQUIRED(open_mu_);

  // Whether there is, or can be, room for what is to be put. What it comes to is checked at commit.
  absl::Status CheckRoom(const KvPutRequest& request, const std::string& entry_key)
      ABSL_SHARED_LOCKS_REQUIRED(open_mu_);

  kv::KvContext context_;
  kv::KvTier tier_;
  kv::KvPutter putter_{&context_};
  kv::KvPrefetcher prefetcher_{&context_};
  // Shared for the length of each call; exclusive to close.
  mutable absl::Mutex open_mu_;
  bool open_ ABSL_GUARDED_BY(open_mu_) = true;
  kv::KvFiller filler_{&context_, &tier_};  // the last to be made, the first to stop
};

}  // namespace larder

#endif  // LARDER_ENGINE_KV_KV_CACHE_IMPL_H_
