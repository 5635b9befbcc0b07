// The rounds of index/codes/rotation.h, dispatched at run time. Every target computes the same bits:
// each element passes the same additions in the same order, whatever the vector's width.
#ifndef LARDER_INDEX_KERNELS_ROTATE_H_
#define LARDER_INDEX_KERNELS_ROTATE_H_

#include <cstddef>

namespace larder::index {

constexpr size_t kRotationRounds = 4;

// What a round needs: `factors` holds kRotationRounds * dimension numbers: a random sign, over sqrt(power)
// where that round's Hadamard transform reaches.
struct RotationRounds {
  const float* factors = nullptr;
  size_t dimension = 0;
  size_t power = 1;  // the largest power of two <= dimension
};

struct RotateKernels {
  // In place, over `dimension` floats; no alignment needed.
  using Rotate = void (*)(const RotationRounds& rounds, float* data);
  Rotate forward = nullptr;
  Rotate inverse = nullptr;
};

RotateKernels SelectRotateKernels();

}  // namespace larder::index

#endif  // LARDER_INDEX_KERNELS_ROTATE_H_
