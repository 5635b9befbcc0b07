// The rotation's bodies, compiled once per target by rotate.cc through foreach_target.h.
#if defined(LARDER_INDEX_KERNELS_ROTATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_ROTATE_INL_H_
#undef LARDER_INDEX_KERNELS_ROTATE_INL_H_
#else
#define LARDER_INDEX_KERNELS_ROTATE_INL_H_
#endif

#include "hwy/highway.h"
#include "index/kernels/rotate.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using RotateTag = hn::ScalableTag<float>;
using RotateVec = hn::Vec<RotateTag>;

// The Hadamard butterflies inside one vector: partner is lane i ^ half, negated where i has that bit.
HWY_INLINE RotateVec InVector(RotateVec v) {
  const RotateTag d;
  const hn::RebindToSigned<RotateTag> di;
  const auto lane = hn::Iota(di, 0);
  for (int32_t half = 1; half < static_cast<int32_t>(hn::Lanes(d)); half *= 2) {
    const auto bit = hn::Set(di, half);
    const auto partner = hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::Xor(lane, bit)));
    const auto upper = hn::RebindMask(d, hn::TestBit(lane, bit));
    v = hn::Add(partner, hn::IfThenElse(upper, hn::Neg(v), v));
  }
  return v;
}

// Two stages at once over four vectors `step` floats apart.
HWY_INLINE void FourPoint(RotateVec& a, RotateVec& b, RotateVec& c, RotateVec& e) {
  const RotateVec ab = hn::Add(a, b), a_b = hn::Sub(a, b), ce = hn::Add(c, e), c_e = hn::Sub(c, e);
  a = hn::Add(ab, ce);
  b = hn::Add(a_b, c_e);
  c = hn::Sub(ab, ce);
  e = hn::Sub(a_b, c_e);
}

HWY_INLINE void FourPointAt(float* HWY_RESTRICT at, size_t step) {
  const RotateTag d;
  RotateVec a = hn::LoadU(d, at), b = hn::LoadU(d, at + step), c = hn::LoadU(d, at + 2 * step),
            e = hn::LoadU(d, at + 3 * step);
  FourPoint(a, b, c, e);
  hn::StoreU(a, d, at);
  hn::StoreU(b, d, at + step);
  hn::StoreU(c, d, at + 2 * step);
  hn::StoreU(e, d, at + 3 * step);
}

// Unnormalised fast Walsh-Hadamard transform of n = 2^k numbers, stages in ascending order.
HWY_INLINE void Hadamard(float* HWY_RESTRICT data, size_t n) {
  const RotateTag d;
  const size_t lanes = hn::Lanes(d);
  size_t half = 1;
  if (n >= lanes) {
    for (size_t i = 0; i < n; i += lanes) hn::StoreU(InVector(hn::LoadU(d, data + i)), d, data + i);
    for (half = lanes; half * 4 <= n; half *= 4) {
      for (size_t i = 0; i < n; i += 4 * half) {
        for (size_t j = i; j < i + half; j += lanes) FourPointAt(data + j, half);
      }
    }
    if (half == n) return;
    for (size_t i = 0; i < half; i += lanes) {
      const RotateVec a = hn::LoadU(d, data + i), b = hn::LoadU(d, data + i + half);
      hn::StoreU(hn::Add(a, b), d, data + i);
      hn::StoreU(hn::Sub(a, b), d, data + i + half);
    }
    return;
  }
  for (; half < n; half *= 2) {
    for (size_t i = 0; i < n; ++i) {
      if ((i & half) != 0) continue;
      const float a = data[i], b = data[i + half];
      data[i] = a + b;
      data[i + half] = a - b;
    }
  }
}

HWY_INLINE void Scale(const float* HWY_RESTRICT factors, size_t n, float* HWY_RESTRICT data) {
  const RotateTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, data + i), hn::LoadU(d, factors + i)), d, data + i);
  }
  for (; i < n; ++i) data[i] *= factors[i];
}

// Turns by pi/4 each pair of the halves; its own inverse. Of an odd n the middle stays in round
// 0 and 2 and the last in 1 and 3.
HWY_INLINE void Givens(size_t n, size_t round, float* data) {
  constexpr float kHalfRoot = 0.70710678118654752f;
  const RotateTag d;
  const size_t lanes = hn::Lanes(d), pairs = n / 2;
  float* HWY_RESTRICT low = data;
  float* HWY_RESTRICT high = data + (round % 2 == 0 ? n - pairs : pairs);
  const RotateVec scale = hn::Set(d, kHalfRoot);
  size_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    const RotateVec a = hn::LoadU(d, low + i), b = hn::LoadU(d, high + i);
    hn::StoreU(hn::Mul(hn::Add(a, b), scale), d, low + i);
    hn::StoreU(hn::Mul(hn::Sub(a, b), scale), d, high + i);
  }
  for (; i < pairs; ++i) {
    const float a = low[i], b = high[i];
    low[i] = (a + b) * kHalfRoot;
    high[i] = (a - b) * kHalfRoot;
  }
}

HWY_INLINE size_t HadamardOffset(const RotationRounds& rounds, size_t round) {
  return round % 2 == 0 ? 0 : rounds.dimension - rounds.power;
}

void RotateForward(const RotationRounds& rounds, float* data) {
  const size_t n = rounds.dimension;
  for (size_t round = 0; round < kRotationRounds; ++round) {
    Scale(rounds.factors + round * n, n, data);
    Hadamard(data + HadamardOffset(rounds, round), rounds.power);
    if (rounds.power != n) Givens(n, round, data);
  }
}

void RotateInverse(const RotationRounds& rounds, float* data) {
  const size_t n = rounds.dimension;
  for (size_t round = kRotationRounds; round-- > 0;) {
    if (rounds.power != n) Givens(n, round, data);
    Hadamard(data + HadamardOffset(rounds, round), rounds.power);
    Scale(rounds.factors + round * n, n, data);
  }
}

RotateKernels RotateKernelsOfTarget() { return {&RotateForward, &RotateInverse}; }

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
