// What the KV cache's tiers hold and did. Header-only values; the client uses them too.
#ifndef LARDER_KV_STATS_H_
#define LARDER_KV_STATS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace larder {

// A key as the directory knows it: computed once (KvCache::Hash), looked up often. It covers tenant,
// profile, tokens and context. What a lookup by it says is advice: tokens are compared when an entry
// is served.
struct KvKeyHash {
  uint64_t high = 0, low = 0;
  friend auto operator<=>(const KvKeyHash&, const KvKeyHash&) = default;
};

// Counters run from the opening of the database.
struct KvTenantStats {
  std::string tenant;
  uint64_t quota_bytes = 0;       // 0 = no limit
  uint64_t entries = 0, bytes = 0;
  uint64_t hits = 0, misses = 0;  // answers of Lookup and Plan
  uint64_t reads = 0;             // entries served
  uint64_t evictions = 0;         // for room or by expiry
  double saved_seconds = 0;       // of prefill, by what was served
};

struct KvTierStats {
  std::string name;  // "disk"; "memory", shared, if the database has any
  uint64_t entries = 0, bytes = 0;
  uint64_t budget_bytes = 0;      // 0 = no limit
  uint64_t pinned_entries = 0, pinned_bytes = 0;
  uint64_t evictions = 0, expirations = 0;
  uint64_t demotions = 0;         // re-encoded instead of evicted
  uint64_t hits = 0;              // entries served; those of memory are among those of the disk
};

struct KvStats {
  std::vector<KvTierStats> tiers;
  std::vector<KvTenantStats> tenants;  // sorted by name
  uint64_t hits = 0, misses = 0, reads = 0;
  double saved_seconds = 0;
  bool directory_filled = false;  // false for a moment after opening: the rest is still being counted
  uint64_t directory_entries = 0, directory_bytes = 0;  // in memory
  std::string policy;
};

}  // namespace larder

#endif  // LARDER_KV_STATS_H_
