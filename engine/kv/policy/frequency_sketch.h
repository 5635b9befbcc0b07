// How often an id was asked for lately, in a few bits an id.
#ifndef LARDER_ENGINE_KV_POLICY_FREQUENCY_SKETCH_H_
#define LARDER_ENGINE_KV_POLICY_FREQUENCY_SKETCH_H_

#include <cstdint>
#include <vector>

namespace larder::kv {

// The sketch of TinyLFU (Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission
// Policy", 2017): a count-min sketch of four rows of 4-bit counters behind a doorkeeper, a Bloom filter
// that takes the first sighting, so that ids seen once do not fill the counters. After `kSample` times
// as many sightings as it has room for ids, every counter is halved and the doorkeeper emptied: old
// fame fades. Estimates are never too low between two halvings. Thread-compatible.
class FrequencySketch {
 public:
  static constexpr uint32_t kMost = 15;
  static constexpr uint64_t kSample = 10;

  // Room for `ids` distinct ids, rounded up to a power of two; 2 bytes and 8 bits of doorkeeper each.
  explicit FrequencySketch(uint64_t ids);

  void Add(uint64_t id);
  uint32_t Estimate(uint64_t id) const;  // 0 to kMost + 1: the doorkeeper's sighting counts
  uint64_t MemoryBytes() const { return counters_.size() + doorkeeper_.size() * 8; }

 private:
  static constexpr int kRows = 4;

  uint64_t Slot(uint64_t hash, int row) const;
  uint32_t Counter(uint64_t slot) const;
  bool Known(uint64_t hash) const;
  bool MakeKnown(uint64_t hash);  // whether it was
  void Halve();

  const uint64_t slots_;             // of one row, a power of two
  std::vector<uint8_t> counters_;    // kRows rows, two counters a byte
  std::vector<uint64_t> doorkeeper_;
  uint64_t sightings_ = 0;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_FREQUENCY_SKETCH_H_
