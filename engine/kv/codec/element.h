// One number between f32 and the types that tensors are stored in, rounded to nearest even. The kernels do
// the same to whole vectors.
#ifndef LARDER_ENGINE_KV_CODEC_ELEMENT_H_
#define LARDER_ENGINE_KV_CODEC_ELEMENT_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "larder/kv_types.h"

namespace larder::kv {

inline float FloatFromBf16(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

inline uint16_t Bf16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float FloatFromF16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16, exponent = value >> 10 & 31, rest = value & 0x3FF;
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(rest) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | rest << 13);
}

inline uint16_t F16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7FFFFFFF;
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00 | (bits >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // 65,520 and more
  // Below the smallest normal number: whole multiples of 2^-24.
  if (magnitude < 0x38800000) {
    return sign | static_cast<uint16_t>(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f));
  }
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112 << 10)));
}

inline float LoadElement(KvDtype dtype, const void* from) {
  if (dtype == KvDtype::kF32) {
    float value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return dtype == KvDtype::kF16 ? FloatFromF16(bits) : FloatFromBf16(bits);
}

inline void StoreElement(KvDtype dtype, float value, void* to) {
  if (dtype == KvDtype::kF32) {
    std::memcpy(to, &value, sizeof(value));
    return;
  }
  const uint16_t bits = dtype == KvDtype::kF16 ? F16FromFloat(value) : Bf16FromFloat(value);
  std::memcpy(to, &bits, sizeof(bits));
}

inline size_t ElementBytes(KvDtype dtype) { return dtype == KvDtype::kF32 ? 4 : 2; }

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_ELEMENT_H_
