// Policies that give up what ranks lowest: LRU, LFU and GDSF.
#ifndef LARDER_ENGINE_KV_POLICY_RANKED_POLICY_H_
#define LARDER_ENGINE_KV_POLICY_RANKED_POLICY_H_

#include <cstdint>
#include <optional>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "engine/kv/policy/policy.h"

namespace larder::kv {

// Each object stands in one ordered set by its rank, which is computed anew at each use. Of equals the
// one that was used longest ago goes first.
class RankedPolicy : public EvictionPolicy {
 public:
  void Insert(const KvObject& object) override;
  void Touch(uint64_t id) override;
  void Erase(uint64_t id) override;
  void Evict(uint64_t id) override;
  std::optional<uint64_t> Victim(absl::FunctionRef<bool(uint64_t)> may_evict) override;
  std::optional<uint64_t> VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) override;
  bool Admit(const KvObject&) override { return true; }

 protected:
  // `uses`: this one included.
  virtual double Rank(const KvObject& object, uint64_t uses) const = 0;
  virtual void Evicted(double /*rank*/) {}

 private:
  struct Place {
    double rank;
    uint64_t turn;  // of the last use
    uint64_t id;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Resident {
    KvObject object;
    uint64_t uses;
    Place place;
  };

  void Use(Resident* resident);

  uint64_t turn_ = 0;
  absl::flat_hash_map<uint64_t, Resident> residents_;
  absl::btree_set<Place> order_;
};

class LruPolicy : public RankedPolicy {
  double Rank(const KvObject&, uint64_t) const override { return 0; }
};

class LfuPolicy : public RankedPolicy {
  double Rank(const KvObject&, uint64_t uses) const override { return static_cast<double>(uses); }
};

// Greedy-Dual-Size-Frequency (Cherkasova, "Improving WWW Proxies Performance with
// Greedy-Dual-Size-Frequency Caching Policy", HP Labs 1998): H = L + uses * cost / size, where L is the
// H of the last victim, so that what is no longer used falls behind.
class GdsfPolicy : public RankedPolicy {
  double Rank(const KvObject& object, uint64_t uses) const override {
    return floor_ + static_cast<double>(uses) * object.saved_seconds / static_cast<double>(object.bytes);
  }
  void Evicted(double rank) override { floor_ = rank > floor_ ? rank : floor_; }

  double floor_ = 0;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_RANKED_POLICY_H_
