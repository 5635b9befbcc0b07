// A pseudo-random orthogonal map in O(D log D): kRotationRounds times random signs, a fast Hadamard
// transform over the first or the last 2^floor(log2 D) coordinates in turn, and a turn by pi/4 between
// the halves (the RaBitQ library's, after Kac's walk). It spreads a vector's energy evenly over its
// coordinates, so that one range fits all of them.
#ifndef LARDER_INDEX_CODES_ROTATION_H_
#define LARDER_INDEX_CODES_ROTATION_H_

#include <cstdint>
#include <vector>

#include "index/kernels/rotate.h"

namespace larder::index {

// A function of (dimension, seed) alone, to the last bit on every CPU. Thread-safe.
class Rotation {
 public:
  Rotation(uint32_t dimension, uint64_t seed);  // dimension >= 1
  uint32_t dimension() const { return static_cast<uint32_t>(dimension_); }

  // `out` may be `in`; they do not overlap otherwise. Lengths and angles stay to within 1e-5.
  void Apply(const float* in, float* out) const;
  void Invert(const float* in, float* out) const;

 private:
  RotationRounds Rounds() const { return {factors_.data(), dimension_, power_}; }

  const size_t dimension_;
  size_t power_ = 1;
  std::vector<float> factors_;
  const RotateKernels kernels_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_ROTATION_H_
