// Sines and cosines of rotary angles; compiled once per target by kv_kernels.cc.
#if defined(LARDER_ENGINE_KV_CODEC_ANGLES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_ENGINE_KV_CODEC_ANGLES_INL_H_
#undef LARDER_ENGINE_KV_CODEC_ANGLES_INL_H_
#else
#define LARDER_ENGINE_KV_CODEC_ANGLES_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace larder::kv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using AngleTag = hn::CappedTag<double, 8>;
using AngleVec = hn::Vec<AngleTag>;

// a0 + x (a1 + x (a2 + ...)).
template <size_t n>
HWY_INLINE AngleVec Polynomial(AngleVec x, const double (&a)[n]) {
  const AngleTag d;
  AngleVec sum = hn::Set(d, a[n - 1]);
  for (size_t i = n - 1; i-- > 0;) sum = hn::MulAdd(sum, x, hn::Set(d, a[i]));
  return sum;
}

// Whole turns fall away in double precision, then quarters; Taylor's series of what is left, at most an eighth
// of a turn, is off by less than 2e-10.
HWY_INLINE void Angle(AngleVec turns, AngleVec* cosine, AngleVec* sine) {
  const AngleTag d;
  const AngleVec four = hn::Set(d, 4);
  turns = hn::Sub(turns, hn::Round(turns));
  const AngleVec quarters = hn::Round(hn::Mul(turns, four));  // -2 to 2
  const AngleVec x = hn::Mul(hn::NegMulAdd(quarters, hn::Set(d, 0.25), turns), hn::Set(d, 6.283185307179586477));
  const AngleVec square = hn::Mul(x, x);
  const AngleVec c = Polynomial(square, {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800});
  const AngleVec s = hn::Mul(x, Polynomial(square, {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800}));
  const auto odd = hn::Eq(hn::Abs(quarters), hn::Set(d, 1));
  const AngleVec swapped_sine = hn::CopySign(c, quarters), swapped_cosine = hn::Mul(s, hn::Neg(quarters));
  const auto half = hn::Eq(hn::Abs(quarters), hn::Set(d, 2));
  *cosine = hn::IfThenElse(odd, swapped_cosine, hn::IfThenElse(half, hn::Neg(c), c));
  *sine = hn::IfThenElse(odd, swapped_sine, hn::IfThenElse(half, hn::Neg(s), s));
}

void Angles(double position, const double* turns, size_t n, float* cosines, float* sines) {
  const AngleTag d;
  const hn::Rebind<float, AngleTag> narrow;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < n; i += lanes) {
    AngleVec cosine, sine;
    Angle(hn::Mul(hn::Set(d, position), hn::LoadU(d, turns + i)), &cosine, &sine);
    hn::StoreU(hn::DemoteTo(narrow, cosine), narrow, cosines + i);
    hn::StoreU(hn::DemoteTo(narrow, sine), narrow, sines + i);
  }
}

}  // namespace larder::kv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
