#include "engine/kv/policy/larder_policy.h"

#include <algorithm>
#include <utility>

namespace larder::kv {
namespace {

// History beyond what is resident: ids the sketch has room for, for each resident object, and at least.
constexpr uint64_t kHistory = 8;
constexpr uint64_t kLeastHistory = 1 << 18;
// Objects that a shadow cache of the contest holds at most.
constexpr uint64_t kShadowObjects = 16'384;

}  // namespace

LarderPolicy::LarderPolicy(uint64_t objects)
    : sketch_(std::max(objects * kHistory, kLeastHistory)),
      contest_(kShadowObjects) {}

void LarderPolicy::Unlist(uint32_t tenant) {
  const auto it = tenants_.find(tenant);
  if (it == tenants_.end() || it->second.order.empty()) return;
  fronts_.erase({it->second.order.begin()->height - it->second.lift, tenant});
}

void LarderPolicy::List(uint32_t tenant) {
  const Tenant& of = tenants_.at(tenant);
  if (!of.order.empty()) fronts_.insert({of.order.begin()->height - of.lift, tenant});
}

void LarderPolicy::Place(const KvObject& object) {
  Unlist(object.tenant);
  Tenant& tenant = tenants_[object.tenant];
  const double weight = WeightOf(contest_.best(), sketch_.Estimate(object.id));
  tenant.order.Put(object.id, floor_ + tenant.lift +
                                  weight * object.saved_seconds / static_cast<double>(object.bytes));
  List(object.tenant);
}

void LarderPolicy::Insert(const KvObject& object) {
  Remove(object.id);
  objects_[object.id] = object;
  bytes_ += object.bytes;
  Place(object);
}

void LarderPolicy::Touch(uint64_t id) {
  const auto it = objects_.find(id);
  if (it == objects_.end()) return;
  sketch_.Add(id);
  contest_.Request(it->second, sketch_.Estimate(id), Room());
  Place(it->second);
}

bool LarderPolicy::Admit(const KvObject& object) {
  sketch_.Add(object.id);
  const uint32_t sightings = sketch_.Estimate(object.id);
  contest_.Request(object, sightings, Room());
  return contest_.best() != Weighting::kSecond || sightings >= 2 || full_bytes_ == 0;
}

void LarderPolicy::Remove(uint64_t id) {
  const auto it = objects_.find(id);
  if (it == objects_.end()) return;
  const uint32_t tenant = it->second.tenant;
  Unlist(tenant);
  tenants_.at(tenant).order.Erase(id);
  List(tenant);
  bytes_ -= it->second.bytes;
  objects_.erase(it);
}

void LarderPolicy::Erase(uint64_t id) { Remove(id); }

void LarderPolicy::Evict(uint64_t id) {
  const auto it = objects_.find(id);
  if (it == objects_.end()) return;
  const uint32_t name = it->second.tenant;
  Unlist(name);
  Tenant& tenant = tenants_.at(name);
  const double above = tenant.order.HeightOf(id) - tenant.lift - floor_;
  if (above > 0) (for_quota_ ? tenant.lift : floor_) += above;
  List(name);
  full_bytes_ = bytes_ - it->second.bytes;
  Remove(id);
}

std::optional<uint64_t> LarderPolicy::VictimOf(uint32_t tenant,
                                               absl::FunctionRef<bool(uint64_t)> may_evict) {
  for_quota_ = true;
  const auto it = tenants_.find(tenant);
  if (it == tenants_.end()) return std::nullopt;
  for (const AgedOrder::Place& place : it->second.order) {
    if (may_evict(place.id)) return place.id;
  }
  return std::nullopt;
}

std::optional<uint64_t> LarderPolicy::Victim(absl::FunctionRef<bool(uint64_t)> may_evict) {
  std::optional<uint64_t> victim;
  double lowest = 0;
  for (const auto& [height, name] : fronts_) {
    if (victim.has_value() && height >= lowest) break;
    const Tenant& tenant = tenants_.at(name);
    for (const AgedOrder::Place& place : tenant.order) {
      if (victim.has_value() && place.height - tenant.lift >= lowest) break;
      if (!may_evict(place.id)) continue;
      victim = place.id;
      lowest = place.height - tenant.lift;
      break;
    }
  }
  for_quota_ = false;
  return victim;
}

}  // namespace larder::kv
