// Distances from scalar codes (8, 4 and 4 + 8 bits a dimension), dispatched at run time. A row is
//
//   sq8   D bytes                            then the factors
//   sq4   ceil(D / 2) bytes, two nibbles each   then the factors
//
// padded to a multiple of 16 bytes, which is as far as a kernel reads. Factors, unaligned: lo, step and
// (under l2) the squared norm, as f32. Of each 64 bytes of nibbles the low ones are 64 dimensions and
// the high ones the next 64; a last block of b < 64 bytes holds b low and b high likewise.
#ifndef LARDER_INDEX_KERNELS_SCALAR_CODES_H_
#define LARDER_INDEX_KERNELS_SCALAR_CODES_H_

#include <cstddef>
#include <cstdint>

namespace larder::index {

constexpr size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Where dimension i of `dimension` lies among a query's values for nibbles: blocks of 64 low and 64 high.
constexpr size_t NibblePlace(size_t i, size_t dimension) {
  const size_t block = i / 128 * 128, rest = dimension - block;
  const size_t low = rest >= 128 ? 64 : (rest + 1) / 2;
  return i - block < low ? i : block + 64 + (i - block - low);
}

// Copies `values`, by dimension, to `places`; what lies between stays.
template <class T>
void CopyToPlaces(const T* values, size_t dimension, T* places) {
  for (size_t block = 0; block < dimension; block += 128) {
    const size_t rest = dimension - block, low = rest >= 128 ? 64 : (rest + 1) / 2;
    const size_t high = rest >= 128 ? 64 : rest - low;
    for (size_t i = 0; i < low; ++i) places[block + i] = values[block + i];
    for (size_t i = 0; i < high; ++i) places[block + 64 + i] = values[block + low + i];
  }
}

// distance = constant + lo * row.lo + row.step * (dot * sum + step) + norm * row.norm
// where sum = <query, codes>. The norm is read only if `norm` is not 0.
struct ScalarTerms {
  float constant = 0, lo = 0, step = 0, dot = 0, norm = 0;
};

// `values`: int8 in -127..127, by dimension (sq8) or by NibblePlace (sq4), zero-padded to RoundUp(D, 64)
// or RoundUp(D, 128). Exact integer sums for D <= 65,536.
struct ScalarQuery {
  const int8_t* values = nullptr;
  size_t dimension = 0;
  ScalarTerms terms;
};

// The residual's part of sq4x8: a byte a dimension, `kResidualSteps` to the step of the nibbles, so that
// it reaches a quarter of a step further than rounding needs. Here sum = <query, 204 nibble + residual>.
constexpr int kResidualSteps = 204;
// How far a residual reaches, in steps of the nibbles.
constexpr float kResidualReach = 255.0f / kResidualSteps / 2;
constexpr size_t ResidualBytes(size_t dimension) {
  const size_t tail = (dimension % 128 + 1) / 2;
  return dimension / 128 * 128 + (tail == 0 ? 0 : tail + RoundUp(tail, 16));
}
// `values`: f32 by NibblePlace, zero-padded to RoundUp(D, 128).
struct ResidualQuery {
  const float* values = nullptr;
  size_t dimension = 0;
  ScalarTerms terms;
};

// One row of sq4x8: its parts and its factors.
struct ResidualRow {
  const uint8_t* prefix = nullptr;
  const uint8_t* residual = nullptr;
  float lo = 0, step = 0;
};

// No alignment is needed. A row's result does not depend on its place in the batch.
struct ScalarKernels {
  using Batch = void (*)(const ScalarQuery& query, const uint8_t* const* rows, size_t count, float* out);
  using Residual = void (*)(const ResidualQuery& query, const uint8_t* const* rows,
                            const uint8_t* const* residuals, size_t count, float* out);
  Batch sq8 = nullptr;
  Batch sq4 = nullptr;
  Residual sq4x8 = nullptr;
  // The row plus `centre`, both by NibblePlace; RoundUp(D, 128) floats, zero between the places.
  using Decode = void (*)(const ResidualRow& row, size_t dimension, const float* centre, float* out);
  Decode decode = nullptr;
};

ScalarKernels SelectScalarKernels();

}  // namespace larder::index

#endif  // LARDER_INDEX_KERNELS_SCALAR_CODES_H_
