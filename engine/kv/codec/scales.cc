#include "engine/kv/codec/scales.h"

#include <algorithm>

#include "engine/kv/codec/element.h"

namespace larder::kv {
namespace {

// Two bits are too few to reach for the ends: this part of the range, centred, has the least squared error on
// bell-shaped numbers.
constexpr float kNarrowRange = 0.7f;

// The next f16 below or above where rounding went the wrong way. Not for the largest of all.
uint16_t RoundDown(float value) {
  const uint16_t half = F16FromFloat(value);
  if (FloatFromF16(half) <= value) return half;
  if (half == 0) return 0x8001;
  return static_cast<uint16_t>((half & 0x8000) != 0 ? half + 1 : half - 1);
}
uint16_t RoundUp(float value) {  // of what is not negative
  const uint16_t half = F16FromFloat(value);
  return static_cast<uint16_t>(FloatFromF16(half) >= value ? half : half + 1);
}

}  // namespace

float ColumnUnit(float most) {
  if (!(most > 0)) return 1;
  return std::ldexp(1.0f, std::max(std::ilogb(most) + 2 - 15, -120));
}

std::vector<ColumnCode> ScaleColumns(const CodedTensor& coded, int bits, float* unit) {
  const size_t columns = coded.columns();
  std::vector<float> low(columns, INFINITY), high(columns, -INFINITY);
  float most = 0;
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    for (size_t c = 0; c < columns; ++c) {
      if (coded.IsOutlier(t, c)) continue;
      const float x = coded.Row(t)[c];
      low[c] = std::min(low[c], x), high[c] = std::max(high[c], x);
      most = std::max(most, std::abs(x));
    }
  }
  *unit = ColumnUnit(most);
  std::vector<ColumnCode> codes(columns);
  for (size_t c = 0; c < columns; ++c) {
    if (low[c] > high[c]) continue;  // outliers all
    codes[c].zero = RoundDown(low[c] / *unit);
    const float zero = FloatFromF16(codes[c].zero);
    codes[c].scale = RoundUp((high[c] / *unit - zero) / static_cast<float>((1 << bits) - 1));
  }
  return codes;
}

Affine AffineOf(const ColumnCode& code, float unit, int bits) {
  const float scale = unit * FloatFromF16(code.scale), zero = unit * FloatFromF16(code.zero);
  if (bits != 2) return {scale, zero};
  return {kNarrowStep * scale, zero + (7.5f - 1.5f * kNarrowStep) * scale};
}

GroupRange RangeOfGroup(const CodedTensor& coded, const std::vector<float>& means, uint32_t token, uint32_t head,
                        int bits) {
  GroupRange range;
  for (size_t c = size_t{head} * coded.dim; c < size_t{head + 1} * coded.dim; ++c) {
    if (coded.IsOutlier(token, c)) continue;
    const float x = coded.Row(token)[c] - means[c];
    range.low = std::min(range.low, x), range.high = std::max(range.high, x);
  }
  if (bits != 2) return range;
  const float middle = (range.low + range.high) / 2, reach = (range.high - range.low) / 2 * kNarrowRange;
  return {std::min(middle - reach, 0.0f), std::max(middle + reach, 0.0f)};
}

GroupCode ScaleGroup(const GroupRange& range, int bits, float unit) {
  const float width = range.high - range.low;
  if (!(width > 0) || !(unit > 0)) return {};
  const float step = width / static_cast<float>((1 << bits) - 1);
  const float code = std::ceil(255 + 16 * std::log2(step / unit) - 1e-3f);
  return {static_cast<uint8_t>(std::clamp(code, 0.0f, 255.0f)),
          static_cast<uint8_t>(std::nearbyint(std::clamp(-range.low / width * 255, 0.0f, 255.0f)))};
}

Affine AffineOf(const GroupCode& code, float unit, int bits) {
  const float step = StepOf(code.step, unit);
  return {step, -step * (code.zero * ZeroStep(bits))};
}

}  // namespace larder::kv
