#include "index/codes/rotation.h"

#include <cmath>
#include <cstring>

namespace larder::index {
namespace {

// SplitMix64 (Steele et al., 2014): the same bits everywhere, unlike the standard's distributions.
uint64_t NextBits(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Rotation::Rotation(uint32_t dimension, uint64_t seed) : dimension_(dimension), kernels_(SelectRotateKernels()) {
  while (power_ * 2 <= dimension_) power_ *= 2;
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(power_)));
  factors_.resize(kRotationRounds * dimension_);
  uint64_t bits = 0;
  for (size_t i = 0; i < factors_.size(); ++i) {
    if (i % 64 == 0) bits = NextBits(&seed);
    const size_t round = i / dimension_, at = i % dimension_;
    const bool reached = round % 2 == 0 ? at < power_ : at >= dimension_ - power_;
    const float size = reached ? scale : 1.0f;
    factors_[i] = (bits >> (i % 64) & 1) != 0 ? -size : size;
  }
}

void Rotation::Apply(const float* in, float* out) const {
  if (in != out) std::memcpy(out, in, dimension_ * sizeof(float));
  kernels_.forward(Rounds(), out);
}

void Rotation::Invert(const float* in, float* out) const {
  if (in != out) std::memcpy(out, in, dimension_ * sizeof(float));
  kernels_.inverse(Rounds(), out);
}

}  // namespace larder::index
