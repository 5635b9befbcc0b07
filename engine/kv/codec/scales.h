// The scales of codes: how they are found, how they are stored, what a reader sees of them.
#ifndef LARDER_ENGINE_KV_CODEC_SCALES_H_
#define LARDER_ENGINE_KV_CODEC_SCALES_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/kv/codec/payload.h"
#include "engine/kv/codec/quantize.h"

namespace larder::kv {

// What a reader will see of the scales: number = zero + scale * code.
struct Affine {
  float scale = 0, zero = 0;
};
// The power of two that brings numbers up to `most` into the range of f16.
float ColumnUnit(float most);
// Each column's range without its outliers.
std::vector<ColumnCode> ScaleColumns(const CodedTensor& coded, int bits, float* unit);
Affine AffineOf(const ColumnCode& code, float unit, int bits);

// The range of one head of one token around its columns' means, always with 0 within.
struct GroupRange {
  float low = 0, high = 0;
};
GroupRange RangeOfGroup(const CodedTensor& coded, const std::vector<float>& means, uint32_t token, uint32_t head,
                        int bits);
GroupCode ScaleGroup(const GroupRange& range, int bits, float unit);
inline float StepOf(uint8_t step, float unit) { return unit * std::exp2((static_cast<float>(step) - 255.0f) / 16.0f); }
Affine AffineOf(const GroupCode& code, float unit, int bits);  // zero without the mean

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_SCALES_H_
