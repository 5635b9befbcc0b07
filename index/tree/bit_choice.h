// How many bits a code should have: measured on samples as dense as the data, by a model of what reading costs.
#ifndef LARDER_INDEX_TREE_BIT_CHOICE_H_
#define LARDER_INDEX_TREE_BIT_CHOICE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/vector_index.h"

namespace larder::index {

// A query's reads, each with some cost of its own, and their bytes. The defaults are an NVMe or virtio disk with
// 64 reads in flight.
struct ReadCost {
  double read_us = 30, byte_us = 1e-3;
};

class BitChoice {
 public:
  BitChoice(uint32_t dimension, Metric metric, uint32_t leaf_entries, uint64_t seed);
  // Canonical rows that lie near each other, with all that lies between them.
  void AddSample(std::vector<float> rows);
  // The bits with which postings and candidates together cost least at recall 0.95.
  absl::StatusOr<uint32_t> Choose(int threads) const;

 private:
  // For one query among a sample's rows: the place in the order of estimates of each of its true nearest.
  void Places(const std::vector<float>& rows, uint32_t bits, std::vector<uint32_t>* places) const;

  const uint32_t dimension_;
  const Metric metric_;
  const uint32_t leaf_entries_;
  const uint64_t seed_;
  const ReadCost cost_;
  std::vector<std::vector<float>> samples_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_BIT_CHOICE_H_
