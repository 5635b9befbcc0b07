// For tests: the plainest EvictionPolicy.
#ifndef LARDER_ENGINE_KV_POOL_LRU_FOR_TEST_H_
#define LARDER_ENGINE_KV_POOL_LRU_FOR_TEST_H_

#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "engine/kv/policy/policy.h"

namespace larder::kv {

class LruForTest final : public EvictionPolicy {
 public:
  void Insert(const KvObject& object) override {
    places_[object.id] = order_.insert(order_.end(), object.id);
  }
  void Touch(uint64_t id) override {
    const auto it = places_.find(id);
    if (it != places_.end()) order_.splice(order_.end(), order_, it->second);
  }
  void Erase(uint64_t id) override {
    const auto it = places_.find(id);
    if (it == places_.end()) return;
    order_.erase(it->second);
    places_.erase(it);
  }
  std::optional<uint64_t> Victim(absl::FunctionRef<bool(uint64_t)> may_evict) override {
    for (const uint64_t id : order_) {
      if (may_evict(id)) return id;
    }
    return std::nullopt;
  }
  std::optional<uint64_t> VictimOf(uint32_t, absl::FunctionRef<bool(uint64_t)> may_evict) override {
    return Victim(may_evict);
  }
  bool Admit(const KvObject&) override { return true; }

 private:
  std::list<uint64_t> order_;  // least recently used first
  absl::flat_hash_map<uint64_t, std::list<uint64_t>::iterator> places_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_LRU_FOR_TEST_H_
