// The bodies of half.h, compiled once per target by half.cc through foreach_target.h.
#if defined(LARDER_INDEX_KERNELS_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_HALF_INL_H_
#undef LARDER_INDEX_KERNELS_HALF_INL_H_
#else
#define LARDER_INDEX_KERNELS_HALF_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "index/kernels/half.h"
#include "index/kernels/integer_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using HalfTag = hn::CappedTag<float, 16>;
using HalfVec = hn::Vec<HalfTag>;

HWY_INLINE HalfVec LoadHalves(const uint8_t* HWY_RESTRICT row, size_t i) {
  const HalfTag d;
#if HWY_TARGET == HWY_SCALAR
  uint16_t half;
  std::memcpy(&half, row + 2 * i, sizeof(half));
  return hn::Set(d, FloatFromHalf(half));
#else
  const hn::Rebind<hwy::float16_t, HalfTag> d16;
  const auto bytes = hn::LoadU(hn::Rebind<uint8_t, hn::Twice<decltype(d16)>>(), row + 2 * i);
  return hn::PromoteTo(d, hn::BitCast(d16, bytes));
#endif
}

template <DistanceForm kForm>
HWY_INLINE HalfVec HalfStep(HalfVec q, HalfVec x, HalfVec sum) {
  if constexpr (kForm != DistanceForm::kSquaredL2) return hn::MulAdd(q, x, sum);
  const HalfVec difference = hn::Sub(q, x);
  return hn::MulAdd(difference, difference, sum);
}

template <DistanceForm kForm>
HWY_INLINE float HalfFinish(float sum) {
  return kForm == DistanceForm::kOneMinusDot ? 1.0f - sum : kForm == DistanceForm::kMinusDot ? -sum : sum;
}

// The last n mod Lanes elements of query and row, zeros elsewhere: the row's last whole vector less what is
// summed already; of a row that has none, a copy. Nothing outside the row is read.
struct HalfTail {
  HWY_INLINE HalfTail(size_t size, size_t lanes)
      : n(size), whole(size >= lanes), done(hn::FirstN(HalfTag(), whole ? lanes - size % lanes : 0)) {}
  HWY_INLINE HalfVec Query(const float* HWY_RESTRICT query) const {
    const HalfTag d;
    if (whole) return hn::IfThenZeroElse(done, hn::LoadU(d, query + n - hn::Lanes(d)));
    float rest[16] = {};
    std::memcpy(rest, query, n * sizeof(float));
    return hn::LoadU(d, rest);
  }
  HWY_INLINE HalfVec Row(const uint8_t* HWY_RESTRICT row) const {
    if (whole) return hn::IfThenZeroElse(done, LoadHalves(row, n - hn::Lanes(HalfTag())));
    uint8_t rest[32] = {};
    std::memcpy(rest, row, 2 * n);
    return LoadHalves(rest, 0);
  }
  size_t n;
  bool whole;
  hn::Mask<HalfTag> done;
};

template <DistanceForm kForm>
HWY_INLINE void FourHalfRows(const float* HWY_RESTRICT query, const uint8_t* const* rows, size_t n,
                             float* HWY_RESTRICT out) {
  const HalfTag d;
  const size_t lanes = hn::Lanes(d);
  HalfVec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const HalfVec q = hn::LoadU(d, query + i);
    s0 = HalfStep<kForm>(q, LoadHalves(rows[0], i), s0);
    s1 = HalfStep<kForm>(q, LoadHalves(rows[1], i), s1);
    s2 = HalfStep<kForm>(q, LoadHalves(rows[2], i), s2);
    s3 = HalfStep<kForm>(q, LoadHalves(rows[3], i), s3);
  }
  if (i < n) {
    const HalfTail tail(n, lanes);
    const HalfVec q = tail.Query(query);
    s0 = HalfStep<kForm>(q, tail.Row(rows[0]), s0);
    s1 = HalfStep<kForm>(q, tail.Row(rows[1]), s1);
    s2 = HalfStep<kForm>(q, tail.Row(rows[2]), s2);
    s3 = HalfStep<kForm>(q, tail.Row(rows[3]), s3);
  }
  out[0] = HalfFinish<kForm>(hn::GetLane(hn::SumOfLanes(d, s0)));
  out[1] = HalfFinish<kForm>(hn::GetLane(hn::SumOfLanes(d, s1)));
  out[2] = HalfFinish<kForm>(hn::GetLane(hn::SumOfLanes(d, s2)));
  out[3] = HalfFinish<kForm>(hn::GetLane(hn::SumOfLanes(d, s3)));
}

template <DistanceForm kForm>
void HalfRows(const float* query, const uint8_t* const* rows, size_t count, size_t n, float* out) {
  ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourHalfRows<kForm>(query, r, n, o); });
}

HalfBatch HalfKernelOfTarget(DistanceForm form) {
  switch (form) {
    case DistanceForm::kOneMinusDot:
      return &HalfRows<DistanceForm::kOneMinusDot>;
    case DistanceForm::kMinusDot:
      return &HalfRows<DistanceForm::kMinusDot>;
    case DistanceForm::kSquaredL2:
      break;
  }
  return &HalfRows<DistanceForm::kSquaredL2>;
}

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
