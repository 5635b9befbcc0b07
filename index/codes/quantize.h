// Rounding and sums that codes share, written so that the compiler makes vectors of them.
#ifndef LARDER_INDEX_CODES_QUANTIZE_H_
#define LARDER_INDEX_CODES_QUANTIZE_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "index/codes/code.h"
#include "index/kernels/scalar_codes.h"

namespace larder::index {

// value + 1.5 * 2^23 holds the nearest integer in its low bits; lrint would be a call. For |value| < 2^22.
inline int32_t Nearest(float value) {
  return std::bit_cast<int32_t>(value + 12582912.0f) - std::bit_cast<int32_t>(12582912.0f);
}

struct FloatSums {
  float largest = 0;  // absolute
  double sum = 0, squares = 0;
};
FloatSums SumUp(const float* values, size_t n);
double DotProduct(const float* a, const float* b, size_t n);

// Places in CodeQuery::scalars of the queries below: the terms of ScalarTerms or PlaneQuery, the metric's
// weight (Frame), the rotated query's length and its rounding's step.
enum { kConstant, kLo, kDot, kStep, kNorm, kWeight, kSize, kQueryStep };

// Rounds a rotated query to int8 into `bytes`, in the layout of sq4 or sq8, and fills all scalars but kNorm
// (0), for rows of that layout with levels 0 to 15 or 255.
void PrepareScalarQuery(const float* rotated, size_t dimension, bool nibbles, float constant, float weight,
                        CodeQuery* prepared);
ScalarQuery ScalarQueryOf(const CodeQuery& query, size_t dimension);

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_QUANTIZE_H_
