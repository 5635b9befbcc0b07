// Chunk KV caches: the key and value tensors that a language model computed for a chunk's tokens,
// kept so that a generation node need not compute them again.
//
// A KV entry is content-addressed by (tenant, profile, SHA-256 of its token ids, and the context that it
// was computed in, if any); all of them are stored and compared on a hit, so a hash is never trusted
// alone. One layer is two extents, K and V, each a payload of the profile's codec (<larder/kv_codec.h>).
#ifndef LARDER_KV_H_
#define LARDER_KV_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/kv_view.h"
#include "larder/options.h"

namespace larder {

class KvCacheImpl;

// SHA-256 of the token ids as little-endian int32, in hex: how KvVariant::context names a chunk.
std::string KvTokenHash(absl::Span<const int32_t> tokens);

// Thread-safe.
class KvCache {
 public:
  explicit KvCache(std::unique_ptr<KvCacheImpl> impl);
  ~KvCache();

  // Idempotent: the same profile gets the same id (SHA-256 of its canonical form).
  absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile);
  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) const;
  absl::StatusOr<std::vector<std::string>> ListProfiles() const;

  // begin / layer / commit. AlreadyExists if the entry is there, or another producer is on it.
  // Invisible until PutCommit, which is durable when it returns; one that fails ends the put, unless
  // it says that layers are missing. A session that is left alone for ten minutes is aborted.
  // An owner must exist at PutBegin; one that is deleted or updated before PutCommit is passed over,
  // and if none is left the commit fails with FailedPrecondition.
  absl::StatusOr<KvPutHandle> PutBegin(const KvPutRequest& request);
  // k and v: exactly KvProfile::LayerBytes(token count) each: [token][kv_head][head_dim]. Layers in any
  // order, from any thread, each once; encoded by the profile's codec here.
  absl::Status PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v);
  // Beside the layers, each kind once. Saliency is a float a token; put before the layers, it says which
  // tokens codec "mixed" keeps best.
  absl::Status PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes);
  absl::Status PutCommit(KvPutHandle handle);
  absl::Status PutAbort(KvPutHandle handle);
  // Gives an entry that is there more owners, so that it lives until the last of them is deleted; an
  // entry that had none becomes theirs. Returns how many were new. NotFound on a miss.
  absl::StatusOr<uint32_t> AddOwners(const KvKey& key, absl::Span<const KvOwner> owners);

  // One answer a key, in order; never fails for a key that is merely absent.
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::Span<const KvKey> keys) const;
  // Layers [first, first + count); count 0 = all that follow. NotFound on a miss, DataLoss for a
  // damaged extent (which also drops the entry, so that the next reader recomputes it).
  absl::StatusOr<std::vector<KvLayer>> Get(const KvKey& key, uint32_t first = 0, uint32_t count = 0) const;
  // Many entries, or parts of them, rotated to where they go: layer by layer, all objects of a layer in
  // order before the next, while the reads of the layers that follow are in flight. An object that fails
  // (NotFound, InvalidArgument, DataLoss as for Get) says so once, with its status; the others go on.
  // InvalidArgument for more than 4,096 requests. `sink` runs in the caller's thread and must not call this
  // cache.
  absl::Status Read(absl::Span<const KvReadRequest> requests, KvReadSink sink) const;
  // NotFound if there is no such entry, or none of its kind beside it.
  absl::StatusOr<std::string> GetSidecar(const KvKey& key, KvSidecarKind kind) const;
  // One answer a key, in order: its entry in shared memory, brought there from disk if it has to be.
  // Nothing is copied to the caller. NotFound on a miss, DataLoss as for Get, ResourceExhausted where
  // all memory is held by views, FailedPrecondition without OpenOptions::kv_pool_bytes.
  std::vector<absl::StatusOr<KvView>> Acquire(absl::Span<const KvKey> keys) const;
  // For the chunks of a prompt in order: what is here, where it goes, what it weighs.
  absl::StatusOr<KvPlan> Plan(const KvPlanRequest& request) const;

  absl::StatusOr<bool> Delete(const KvKey& key);

  // Lookup by prepared keys, in memory; advice, as KvKeyHash says. Keys of another tenant are misses.
  static absl::StatusOr<KvKeyHash> Hash(const KvKey& key);
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::string_view tenant,
                                               absl::Span<const KvKeyHash> keys) const;

  // A pinned entry is not evicted; it counts towards its tenant's quota all the same, and goes with its
  // owners, by Delete, or when it expires. NotFound on a miss.
  absl::Status Pin(const KvKey& key, bool pinned = true);
  // From now on; infinite = never. An entry that has expired is a miss at once, and is removed soon.
  absl::Status SetTtl(const KvKey& key, absl::Duration ttl);
  // Bytes on disk; 0 = no limit, nullopt = KvOptions::tenant_bytes again. Puts beyond it evict the
  // tenant's own entries, the least worth first, or are refused with ResourceExhausted where those
  // are pinned or too small. Lowering it evicts in the background.
  absl::Status SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes);
  absl::StatusOr<KvStats> Stats() const;

  KvCacheImpl* impl() { return impl_.get(); }  // for the engine itself

 private:
  std::unique_ptr<KvCacheImpl> impl_;
};

}  // namespace larder

#endif  // LARDER_KV_H_
