// Larder's own policy: per-tenant GDSF by saved seconds per byte, over frequencies that outlive the
// objects.
#ifndef LARDER_ENGINE_KV_POLICY_LARDER_POLICY_H_
#define LARDER_ENGINE_KV_POLICY_LARDER_POLICY_H_

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "engine/kv/policy/aged_order.h"
#include "engine/kv/policy/frequency_sketch.h"
#include "engine/kv/policy/policy.h"
#include "engine/kv/policy/weighting_contest.h"

namespace larder::kv {

// H = L + f * saved_seconds / bytes. f comes from a sketch of all requests, refused and evicted objects
// included: their ghost. How f weighs the past, and whether a newcomer waits at the door for its second
// sighting, follows the WeightingContest.
//
// Each tenant has its own order and its own floor, L + l: L is raised by evictions for the whole tier,
// l by those for the tenant's quota, so that a tenant that churns within its quota ages nobody else's.
// The tier's victim is the one lowest above its tenant's l. With one tenant this is GDSF.
class LarderPolicy : public EvictionPolicy {
 public:
  explicit LarderPolicy(uint64_t objects);

  void Insert(const KvObject& object) override;
  void Touch(uint64_t id) override;
  void Erase(uint64_t id) override;
  void Evict(uint64_t id) override;
  std::optional<uint64_t> Victim(absl::FunctionRef<bool(uint64_t)> may_evict) override;
  std::optional<uint64_t> VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) override;
  // Counts the request. Lets everything in before the first eviction.
  bool Admit(const KvObject& object) override;

  Weighting weighting() const { return contest_.best(); }

 private:
  struct Tenant {
    AgedOrder order;
    double lift = 0;  // l
  };

  // Until something had to go there is room for everything.
  uint64_t Room() const { return full_bytes_ != 0 ? full_bytes_ : std::numeric_limits<uint64_t>::max(); }
  void Place(const KvObject& object);
  // Who is next of each tenant, lowest first: (height above its lift, tenant).
  void Unlist(uint32_t tenant);
  void List(uint32_t tenant);
  void Remove(uint64_t id);

  FrequencySketch sketch_;
  WeightingContest contest_;
  double floor_ = 0;         // L
  uint64_t bytes_ = 0;       // resident
  uint64_t full_bytes_ = 0;  // resident at the last eviction; 0 = there was none
  bool for_quota_ = false;   // what the last victim was asked for
  absl::flat_hash_map<uint64_t, KvObject> objects_;
  absl::flat_hash_map<uint32_t, Tenant> tenants_;
  absl::btree_set<std::pair<double, uint32_t>> fronts_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_LARDER_POLICY_H_
