// The segments of one tenant, what lies in them, and what is given up first.
#ifndef LARDER_ENGINE_KV_POOL_TENANT_ARENA_H_
#define LARDER_ENGINE_KV_POOL_TENANT_ARENA_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/policy/policy.h"
#include "engine/kv/pool/run_allocator.h"
#include "engine/kv/pool/segment.h"

namespace larder::kv {

struct PoolHome;

struct PoolEntry {
  std::string entry_key;
  EntryHeader header;
  std::vector<int32_t> tokens;  // of header; none for an entry with context
  uint64_t token_key = 0;       // by which Find finds it
  uint32_t layers = 0;
  double saved_seconds = 0;
  PoolHome* home = nullptr;
  EntryPlace place;
  uint32_t pins = 0;        // leases, and the fill while it is being written
  bool published = false;   // readers find it
  uint64_t policy_id = 0;
};

// A segment and how it is divided.
struct PoolHome {
  explicit PoolHome(std::shared_ptr<Segment> of);

  const std::shared_ptr<Segment> segment;
  RunAllocator runs;
  std::vector<uint32_t> free_slots;
  absl::flat_hash_set<PoolEntry*> entries;
  uint64_t last_used = 0;  // of the arena's count of uses
};

// Memory that one tenant has had is never another's: a segment goes back whole. Single-threaded; the
// pool's mutex guards it. The pool owns the entries.
class TenantArena {
 public:
  explicit TenantArena(std::unique_ptr<EvictionPolicy> policy) : policy_(std::move(policy)) {}

  void AddSegment(std::shared_ptr<Segment> segment);
  uint64_t bytes() const { return bytes_; }
  uint64_t huge_bytes() const;
  bool empty() const { return homes_.empty(); }
  // Whether an entry so long fits any segment, were it empty.
  bool Fits(uint64_t length) const;

  // Gives the entry its place, all but the generation; false if there is no room.
  bool Place(PoolEntry* entry, uint64_t length);
  // Empties the entry's slot, and its memory is free.
  void Remove(PoolEntry* entry);

  void Published(PoolEntry* entry);  // from now on it may be a victim
  void Unpublished(PoolEntry* entry, bool evicted);
  void Touch(PoolEntry* entry);
  PoolEntry* Victim();  // published and not pinned; null if there is none

  // The segment that was used least recently of those without a pinned entry; null if there is none.
  PoolHome* Idle();
  // Takes out a segment that holds no entry (any more).
  std::shared_ptr<Segment> Detach(PoolHome* home);

 private:
  const std::unique_ptr<EvictionPolicy> policy_;
  std::vector<std::unique_ptr<PoolHome>> homes_;
  absl::flat_hash_map<uint64_t, PoolEntry*> by_policy_id_;
  uint64_t bytes_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_TENANT_ARENA_H_
