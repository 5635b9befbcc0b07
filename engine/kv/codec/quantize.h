// Which tokens get more bits, which numbers are kept exact, of an int8, int4 or mixed payload.
#ifndef LARDER_ENGINE_KV_CODEC_QUANTIZE_H_
#define LARDER_ENGINE_KV_CODEC_QUANTIZE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/kv/codec/payload.h"

namespace larder::kv {

// The first tokens draw attention whatever they say (attention sinks, Xiao et al. 2023): kept exact.
inline constexpr uint32_t kExactTokens = 4;
// Outliers at most; fewer where scales and exact tokens take the room.
inline constexpr double kMostOutliers = 0.01;
// What a payload may weigh, in bits a number, as far as outliers and wide tokens decide it.
inline constexpr double kInt4Bits = 16 / 3.65, kMixedBits = 16 / 5.15;

// The coded tokens of a tensor as f32, [token][head][dim], and which of their elements are kept exact.
struct CodedTensor {
  const float* data = nullptr;
  uint32_t tokens = 0, heads = 0, dim = 0;
  std::vector<bool> outliers;

  size_t columns() const { return size_t{heads} * dim; }
  const float* Row(uint32_t token) const { return data + token * columns(); }
  bool IsOutlier(uint32_t token, size_t column) const { return outliers[token * columns() + column]; }
};

// How many tokens of a mixed payload get 4 bits, and how many outliers any payload has; `header` holds all
// that is decided before.
uint32_t WideTokens(const PayloadHeader& header);
uint64_t MostOutliers(const PayloadHeader& header);

// Per coded token: is it among the `count` most salient? Without saliency a token counts by how far it points
// from the mean of its head, which for keys is what attention tells apart (KeyDiff, Park et al. 2025).
std::vector<bool> ChooseWide(const CodedTensor& coded, absl::Span<const float> saliency, uint32_t count);

// Sets coded->outliers: at most `most`, those farthest from the middle of their column (keys) or of their token
// and head (values, less `means`) in units of its deviation. At most 255 a token and stripe.
void ChooseOutliers(KvSide side, const std::vector<float>& means, uint64_t most, CodedTensor* coded);

// Of each column.
std::vector<float> Means(const CodedTensor& coded);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_QUANTIZE_H_
