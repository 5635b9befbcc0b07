#include "engine/kv/policy/frequency_sketch.h"

#include <algorithm>
#include <bit>

namespace larder::kv {
namespace {

constexpr uint64_t kDoorkeeperBits = 8;  // an id, four of them set: 2 % false sightings when full

// Ids may be small numbers: splitmix64's finaliser spreads them (Steele, Lea and Flood 2014).
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// The i-th of a family of hashes made of the two halves of one (Kirsch and Mitzenmacher 2006).
uint64_t Nth(uint64_t hash, int i) { return hash + static_cast<uint64_t>(i) * ((hash >> 32) | 1); }

}  // namespace

FrequencySketch::FrequencySketch(uint64_t ids)
    : slots_(std::bit_ceil(std::max<uint64_t>(ids, 64))),
      counters_(kRows * slots_ / 2),
      doorkeeper_(slots_ * kDoorkeeperBits / 64) {}

uint64_t FrequencySketch::Slot(uint64_t hash, int row) const {
  return static_cast<uint64_t>(row) * slots_ + (Mix(Nth(hash, row)) & (slots_ - 1));
}

uint32_t FrequencySketch::Counter(uint64_t slot) const {
  return (counters_[slot / 2] >> (slot % 2 * 4)) & 0xf;
}

bool FrequencySketch::Known(uint64_t hash) const {
  for (int i = 0; i < kRows; ++i) {
    const uint64_t bit = Nth(hash, i) & (doorkeeper_.size() * 64 - 1);
    if ((doorkeeper_[bit / 64] >> (bit % 64) & 1) == 0) return false;
  }
  return true;
}

bool FrequencySketch::MakeKnown(uint64_t hash) {
  if (Known(hash)) return true;
  for (int i = 0; i < kRows; ++i) {
    const uint64_t bit = Nth(hash, i) & (doorkeeper_.size() * 64 - 1);
    doorkeeper_[bit / 64] |= uint64_t{1} << (bit % 64);
  }
  return false;
}

void FrequencySketch::Halve() {
  for (uint8_t& pair : counters_) pair = (pair >> 1) & 0x77;
  std::fill(doorkeeper_.begin(), doorkeeper_.end(), 0);
  sightings_ /= 2;
}

void FrequencySketch::Add(uint64_t id) {
  const uint64_t hash = Mix(id);
  if (++sightings_ >= kSample * slots_) Halve();
  if (!MakeKnown(hash)) return;
  const uint32_t least = Estimate(id) - 1;
  if (least >= kMost) return;
  // Only the lowest counters grow ("conservative update"): the others count someone else too.
  for (int row = 0; row < kRows; ++row) {
    const uint64_t slot = Slot(hash, row);
    if (Counter(slot) == least) counters_[slot / 2] += static_cast<uint8_t>(1u << (slot % 2 * 4));
  }
}

uint32_t FrequencySketch::Estimate(uint64_t id) const {
  const uint64_t hash = Mix(id);
  uint32_t least = kMost;
  for (int row = 0; row < kRows; ++row) least = std::min(least, Counter(Slot(hash, row)));
  return least + (Known(hash) ? 1 : 0);
}

}  // namespace larder::kv
