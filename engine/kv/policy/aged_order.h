// Objects in the order in which they lose their worth.
#ifndef LARDER_ENGINE_KV_POLICY_AGED_ORDER_H_
#define LARDER_ENGINE_KV_POLICY_AGED_ORDER_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"

namespace larder::kv {

// Each object stands at floor + worth, the floor as it was when it was last placed; of equals the one
// placed first. O(log n) a call. Thread-compatible.
class AgedOrder {
 public:
  struct Place {
    double height;
    uint64_t turn;
    uint64_t id;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  using Iterator = absl::btree_set<Place>::const_iterator;

  void Put(uint64_t id, double height);  // moves it if it is there
  void Erase(uint64_t id);
  bool Contains(uint64_t id) const { return places_.contains(id); }
  double HeightOf(uint64_t id) const { return places_.at(id).height; }
  size_t size() const { return order_.size(); }
  bool empty() const { return order_.empty(); }
  Iterator begin() const { return order_.begin(); }  // the lowest
  Iterator end() const { return order_.end(); }

 private:
  uint64_t turn_ = 0;
  absl::btree_set<Place> order_;
  absl::flat_hash_map<uint64_t, Place> places_;
};

inline void AgedOrder::Put(uint64_t id, double height) {
  const Place place{height, ++turn_, id};
  const auto [it, is_new] = places_.try_emplace(id, place);
  if (!is_new) {
    order_.erase(it->second);
    it->second = place;
  }
  order_.insert(place);
}

inline void AgedOrder::Erase(uint64_t id) {
  const auto it = places_.find(id);
  if (it == places_.end()) return;
  order_.erase(it->second);
  places_.erase(it);
}

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_AGED_ORDER_H_
