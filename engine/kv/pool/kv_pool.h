// KV entries in shared memory, as they are stored on disk: the tier above the extents.
//
// A cache: what is here is also in the store, unless it is being deleted. Each tenant has segments of its
// own (segment.h), so that a process that is given a tenant's segments cannot see another's bytes. Readers
// hold leases; an entry's memory is not used again while anyone holds one. An entry that is dropped is
// found no more from that moment; who holds a lease keeps its bytes until the lease ends.
#ifndef LARDER_ENGINE_KV_POOL_KV_POOL_H_
#define LARDER_ENGINE_KV_POOL_KV_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv/pool/lease_table.h"
#include "engine/kv/pool/tenant_arena.h"
#include "larder/kv_types.h"

namespace larder::kv {

struct KvPoolOptions {
  uint64_t bytes = 0;  // of all segments; at least 4 MiB
  absl::Duration lease = absl::Seconds(30);
  std::function<absl::Time()> clock = {};                   // empty = one that never goes back
  std::function<std::unique_ptr<EvictionPolicy>()> policy = {};  // one a tenant; empty = "larder"
};

struct PoolGrant {
  LeaseId lease = 0;
  std::shared_ptr<const Segment> segment;
  EntryPlace place;
  std::string codec;
  uint32_t tokens = 0, layers = 0;
  std::optional<uint32_t> rotated_from;  // position of K's first token, where K is kept rotated
};

struct PoolHit {
  uint64_t bytes = 0;  // of the payloads; 0 = it is not here
  uint32_t tokens = 0;
  friend bool operator==(const PoolHit&, const PoolHit&) = default;
};

struct KvPoolStats {
  uint64_t capacity_bytes = 0, segment_bytes = 0, huge_page_bytes = 0, entry_bytes = 0;
  uint64_t entries = 0, leases = 0;
  uint64_t hits = 0, misses = 0, insertions = 0, evictions = 0;  // since it was made
};

class PoolFill;

// Thread-safe. It outlives its fills.
class KvPool {
 public:
  static absl::StatusOr<std::shared_ptr<KvPool>> Create(KvPoolOptions options);
  ~KvPool();

  // Makes room for an entry whose payloads [layer][K|V] have these lengths, evicting what the tenant's
  // policy gives up. ResourceExhausted if there is no room: all is leased, or it is too large.
  absl::StatusOr<PoolFill> Reserve(absl::string_view entry_key, const EntryHeader& header,
                                   absl::Span<const uint64_t> lengths, double saved_seconds);

  bool Contains(absl::string_view entry_key) const;
  // One answer a key. Advisory: no token is compared.
  std::vector<PoolHit> Lookup(absl::Span<const std::string> entry_keys) const;
  // The entry without context of exactly these tokens. No SHA-256 is computed.
  std::optional<KvLookup> Find(absl::string_view tenant, absl::string_view profile_id,
                               absl::Span<const int32_t> tokens) const;
  // NotFound if it is not here, or is another's than `expected` says (see Mismatch).
  // ResourceExhausted if the client holds too much already.
  absl::StatusOr<PoolGrant> Acquire(ClientId client, absl::string_view entry_key, const EntryHeader& expected);
  absl::Status Renew(ClientId client, LeaseId lease);
  absl::Status Release(ClientId client, LeaseId lease);
  ClientId NewClient();
  void ReleaseAll(ClientId client);

  // The entry is deleted.
  void Drop(absl::string_view entry_key);
  // Ends the leases that are over; every call that needs to know does it too. Returns how many.
  size_t ExpireLeases();

  absl::Duration lease() const { return options_.lease; }
  KvPoolStats Stats() const;

 private:
  friend class PoolFill;
  using Garbage = std::vector<std::shared_ptr<Segment>>;  // unmapped once the mutex is free: it takes long

  explicit KvPool(KvPoolOptions options) : options_(std::move(options)) {}
  TenantArena* ArenaOf(const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<uint64_t> FindRoom(PoolEntry* entry, uint64_t length, Garbage* garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool EvictFrom(TenantArena* arena) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool RetireFor(const TenantArena* asker, bool may_be_own, Garbage* garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Evict(PoolEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Hide(PoolEntry* entry, bool evicted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unpin(PoolEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t ExpireLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Publish(PoolEntry* entry);
  void Discard(PoolEntry* entry);

  const KvPoolOptions options_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::unique_ptr<TenantArena>> arenas_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<PoolEntry*, std::unique_ptr<PoolEntry>> entries_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, PoolEntry*> index_ ABSL_GUARDED_BY(mu_);  // by entry key, published
  absl::flat_hash_map<uint64_t, PoolEntry*> by_tokens_ ABSL_GUARDED_BY(mu_);  // by token key; some of index_
  LeaseTable leases_ ABSL_GUARDED_BY(mu_);
  uint64_t charged_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // segments, and those being made
  uint64_t last_generation_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_segment_ ABSL_GUARDED_BY(mu_) = 0;
  ClientId last_client_ ABSL_GUARDED_BY(mu_) = kThisProcess;
  KvPoolStats counts_ ABSL_GUARDED_BY(mu_);
};

// A reserved entry while it is written. Unless it is published its memory goes back.
class PoolFill {
 public:
  PoolFill(PoolFill&& other) noexcept : pool_(other.pool_), entry_(std::exchange(other.entry_, nullptr)) {}
  PoolFill& operator=(PoolFill&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~PoolFill();

  // Any order, any thread, each once and with the length that was reserved for it.
  void Write(uint32_t index, absl::string_view payload);
  // All payloads have been written: readers find it. If another was published meanwhile, that one stays.
  void Publish() &&;

 private:
  friend class KvPool;
  PoolFill(KvPool* pool, PoolEntry* entry) : pool_(pool), entry_(entry) {}

  KvPool* pool_;
  PoolEntry* entry_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_KV_POOL_H_
