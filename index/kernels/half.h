// Distances of an f32 query from f16 rows, dispatched at run time. The contract is distance.h's.
#ifndef LARDER_INDEX_KERNELS_HALF_H_
#define LARDER_INDEX_KERNELS_HALF_H_

#include <cstddef>
#include <cstdint>

#include "index/kernels/distance.h"

namespace larder::index {

// `rows[i]`: n IEEE half-precision numbers, little endian, unaligned.
using HalfBatch = void (*)(const float* query, const uint8_t* const* rows, size_t count, size_t n, float* out);
HalfBatch SelectHalfKernel(DistanceForm form);

// Rounded to nearest even; what is too large becomes the largest finite number.
uint16_t HalfFromFloat(float value);
float FloatFromHalf(uint16_t half);

}  // namespace larder::index

#endif  // LARDER_INDEX_KERNELS_HALF_H_
