#include "engine/kv/policy/weighting_contest.h"

#include <algorithm>
#include <cmath>

namespace larder::kv {
namespace {

// A hit this many sampled requests ago counts half.
constexpr double kHalfLife = 16'384;
constexpr double kNewcomer = 0.01;
// Another weighting takes over when it has saved that much more: near ties are noise.
constexpr double kClearly = 1.01;

}  // namespace

double WeightOf(Weighting weighting, uint32_t sightings) {
  const double n = std::max<uint32_t>(sightings, 1);
  switch (weighting) {
    case Weighting::kRecency: return 1;
    case Weighting::kSquare: return n * n;
    case Weighting::kProven: return n < 2 ? kNewcomer : (n - 1) * (n - 1);
    case Weighting::kFrequency:
    case Weighting::kSecond: break;
  }
  return n;
}

void WeightingContest::Play(Weighting weighting, const KvObject& object, uint32_t sightings, uint64_t room,
                            Shadow* shadow) {
  const bool hit = shadow->order.Contains(object.id);
  if (hit) {
    shadow->saved += object.saved_seconds;
  } else {
    const bool full = shadow->bytes + object.bytes > room;
    if (object.bytes > room || (weighting == Weighting::kSecond && sightings < 2 && full)) return;
    shadow->sizes[object.id] = object.bytes;
    shadow->bytes += object.bytes;
  }
  const double worth = object.saved_seconds / static_cast<double>(object.bytes);
  shadow->order.Put(object.id, shadow->floor + WeightOf(weighting, sightings) * worth);
  while (shadow->bytes > room) {
    const AgedOrder::Place victim = *shadow->order.begin();
    shadow->floor = std::max(shadow->floor, victim.height);
    shadow->order.Erase(victim.id);
    const auto size = shadow->sizes.find(victim.id);
    shadow->bytes -= size->second;
    shadow->sizes.erase(size);
  }
}

// By other bits of the product than a power-of-two table would take.
bool WeightingContest::Sampled(uint64_t id) const {
  return ((id * 0x9e3779b97f4a7c15 >> 32) & (sampling_ - 1)) == 0;
}

void WeightingContest::Thin() {
  sampling_ *= 2;
  for (Shadow& shadow : shadows_) {
    absl::erase_if(shadow.sizes, [&](const auto& size) {
      if (Sampled(size.first)) return false;
      shadow.order.Erase(size.first);
      shadow.bytes -= size.second;
      return true;
    });
  }
}

void WeightingContest::Request(const KvObject& object, uint32_t sightings, uint64_t room) {
  if (!Sampled(object.id)) return;
  const double fade = std::exp2(-1 / kHalfLife);
  for (int i = 0; i < kWeightings; ++i) {
    shadows_[i].saved *= fade;
    Play(static_cast<Weighting>(i), object, sightings, room / sampling_, &shadows_[i]);
  }
  const bool many = std::any_of(shadows_.begin(), shadows_.end(), [&](const Shadow& shadow) {
    return shadow.sizes.size() > most_objects_;
  });
  if (many) Thin();
  for (int i = 0; i < kWeightings; ++i) {
    if (shadows_[i].saved > kClearly * shadows_[static_cast<int>(best_)].saved) best_ = static_cast<Weighting>(i);
  }
}

}  // namespace larder::kv
