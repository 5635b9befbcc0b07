#include "engine/kv/policy/ranked_policy.h"

namespace larder::kv {

void RankedPolicy::Use(Resident* resident) {
  ++resident->uses;
  resident->place = {Rank(resident->object, resident->uses), ++turn_, resident->object.id};
  order_.insert(resident->place);
}

void RankedPolicy::Insert(const KvObject& object) {
  Erase(object.id);
  Resident& resident = residents_[object.id];
  resident = {object, 0, {}};
  Use(&resident);
}

void RankedPolicy::Touch(uint64_t id) {
  const auto it = residents_.find(id);
  if (it == residents_.end()) return;
  order_.erase(it->second.place);
  Use(&it->second);
}

void RankedPolicy::Erase(uint64_t id) {
  const auto it = residents_.find(id);
  if (it == residents_.end()) return;
  order_.erase(it->second.place);
  residents_.erase(it);
}

void RankedPolicy::Evict(uint64_t id) {
  const auto it = residents_.find(id);
  if (it != residents_.end()) Evicted(it->second.place.rank);
  Erase(id);
}

std::optional<uint64_t> RankedPolicy::Victim(absl::FunctionRef<bool(uint64_t)> may_evict) {
  for (const Place& place : order_) {
    if (may_evict(place.id)) return place.id;
  }
  return std::nullopt;
}

std::optional<uint64_t> RankedPolicy::VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) {
  return Victim([&](uint64_t id) { return residents_.at(id).object.tenant == tenant && may_evict(id); });
}

}  // namespace larder::kv
