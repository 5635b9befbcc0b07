#include "index/codes/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace larder::index {

// In eight lanes; the order of additions is fixed.
FloatSums SumUp(const float* values, size_t n) {
  float largest[8] = {};
  double sum[8] = {}, squares[8] = {};
  const auto add = [&](size_t lane, float value) {
    largest[lane] = std::max(largest[lane], std::abs(value));
    sum[lane] += value;
    squares[lane] += static_cast<double>(value) * value;
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) add(lane, values[i + lane]);
  }
  for (; i < n; ++i) add(i % 8, values[i]);
  FloatSums all;
  for (size_t lane = 0; lane < 8; ++lane) {
    all.largest = std::max(all.largest, largest[lane]);
    all.sum += sum[lane];
    all.squares += squares[lane];
  }
  return all;
}

double DotProduct(const float* a, const float* b, size_t n) {
  double sum[4] = {};
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) sum[lane] += static_cast<double>(a[i + lane]) * b[i + lane];
  }
  for (; i < n; ++i) sum[0] += static_cast<double>(a[i]) * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void PrepareScalarQuery(const float* rotated, size_t dimension, bool nibbles, float constant, float weight,
                        CodeQuery* prepared) {
  const FloatSums sums = SumUp(rotated, dimension);
  const float query_step = sums.largest / 127, scale = query_step > 1e-30f ? 1 / query_step : 0;
  std::vector<uint8_t> values(dimension);
  int32_t level_sum = 0;
  for (size_t i = 0; i < dimension; ++i) {
    const int32_t level = Nearest(rotated[i] * scale);
    values[i] = static_cast<uint8_t>(level);
    level_sum += level;
  }
  prepared->bytes.assign(RoundUp(dimension, nibbles ? 128 : 64), 0);
  if (nibbles) {
    CopyToPlaces(values.data(), dimension, prepared->bytes.data());
  } else {
    std::memcpy(prepared->bytes.data(), values.data(), dimension);
  }
  // Codes are taken from their middle, so that the query's rounding meets only their deviations.
  const double middle = nibbles ? 7.5 : 127.5, lost = sums.sum - static_cast<double>(query_step) * level_sum;
  float* s = prepared->scalars;
  s[kConstant] = constant;
  s[kLo] = static_cast<float>(weight * sums.sum);
  s[kDot] = weight * query_step;
  s[kStep] = static_cast<float>(weight * middle * lost);
  s[kNorm] = 0;
  s[kWeight] = weight;
  s[kSize] = static_cast<float>(std::sqrt(sums.squares));
  s[kQueryStep] = query_step;
}

ScalarQuery ScalarQueryOf(const CodeQuery& query, size_t dimension) {
  const float* s = query.scalars;
  return {reinterpret_cast<const int8_t*>(query.bytes.data()), dimension,
          {s[kConstant], s[kLo], s[kStep], s[kDot], s[kNorm]}};
}

}  // namespace larder::index
