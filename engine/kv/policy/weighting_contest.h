// How much an object's past should count: decided by what would have saved most lately.
#ifndef LARDER_ENGINE_KV_POLICY_WEIGHTING_CONTEST_H_
#define LARDER_ENGINE_KV_POLICY_WEIGHTING_CONTEST_H_

#include <array>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "engine/kv/policy/aged_order.h"
#include "engine/kv/policy/policy.h"

namespace larder::kv {

// What f is in H = L + f * saved_seconds / bytes, of an object that was sighted n times.
enum class Weighting : uint8_t {
  kFrequency,  // n: GDSF as published
  kRecency,    // 1: Greedy-Dual-Size, LRU among equals
  kSquare,     // n^2: what is asked for often stays longer
  kProven,     // (n - 1)^2, and next to nothing for a newcomer: it passes through unless asked for again
  kSecond,     // kFrequency, but a newcomer is not let in before its second sighting
};
inline constexpr int kWeightings = 5;
double WeightOf(Weighting weighting, uint32_t sightings);

// Plays every request through one shadow cache a weighting (ids and sizes, no contents), each as large
// as the real one, on a sample of the ids ("miniature simulation": Waldspurger, Saemundsson, Ahmad and
// Park, "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017). The one whose
// hits saved most seconds, older hits counting less, is the best. Thread-compatible.
class WeightingContest {
 public:
  // At first every id takes part; whenever a shadow holds more than `objects`, half of the ids leave.
  explicit WeightingContest(uint64_t objects) : most_objects_(objects) {}

  // A request for `object`, hit or not, after `sightings` of it with this one. `room`: bytes that the
  // real cache may hold now.
  void Request(const KvObject& object, uint32_t sightings, uint64_t room);
  Weighting best() const { return best_; }
  uint64_t sampling() const { return sampling_; }  // one id in so many takes part

 private:
  struct Shadow {
    AgedOrder order;
    absl::flat_hash_map<uint64_t, uint64_t> sizes;
    double floor = 0;
    uint64_t bytes = 0;
    double saved = 0;  // by hits, decayed
  };

  static void Play(Weighting weighting, const KvObject& object, uint32_t sightings, uint64_t room,
                   Shadow* shadow);

  bool Sampled(uint64_t id) const;
  void Thin();

  const uint64_t most_objects_;
  uint64_t sampling_ = 1;  // a power of two
  std::array<Shadow, kWeightings> shadows_;
  Weighting best_ = Weighting::kRecency;  // until another has saved more
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_WEIGHTING_CONTEST_H_
