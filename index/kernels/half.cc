#include "index/kernels/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels/half.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file once per target.
#include "index/kernels/half-inl.h"

#if HWY_ONCE
#include <bit>
#include <cmath>

namespace larder::index {

HWY_EXPORT(HalfKernelOfTarget);

HalfBatch SelectHalfKernel(DistanceForm form) { return HWY_DYNAMIC_DISPATCH(HalfKernelOfTarget)(form); }

uint16_t HalfFromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float size = std::abs(value);
  if (!(size < 65504.0f)) return sign | 0x7BFF;
  // Below the smallest normal number: whole multiples of 2^-24.
  if (size < 0x1p-14f) return sign | static_cast<uint16_t>(std::nearbyint(size * 0x1p24f));
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return sign | static_cast<uint16_t>((rounded >> 13) - (112 << 10));
}

float FloatFromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31, rest = half & 0x3FF;
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(rest) * 0x1p-24f));
  const uint32_t high = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | high << 23 | rest << 13);
}

}  // namespace larder::index
#endif  // HWY_ONCE
