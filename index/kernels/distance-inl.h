// The kernels' bodies, compiled once per target by distance.cc through foreach_target.h.
#if defined(LARDER_INDEX_KERNELS_DISTANCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_DISTANCE_INL_H_
#undef LARDER_INDEX_KERNELS_DISTANCE_INL_H_
#else
#define LARDER_INDEX_KERNELS_DISTANCE_INL_H_
#endif

#include "hwy/highway.h"
#include "index/kernels/distance.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

struct DotStep {
  static HWY_INLINE V Vector(V a, V b, V sum) { return hn::MulAdd(a, b, sum); }
  static HWY_INLINE float Scalar(float a, float b) { return a * b; }
};
struct L2Step {
  static HWY_INLINE V Vector(V a, V b, V sum) {
    const V difference = hn::Sub(a, b);
    return hn::MulAdd(difference, difference, sum);
  }
  static HWY_INLINE float Scalar(float a, float b) { return (a - b) * (a - b); }
};

template <DistanceForm kForm>
HWY_INLINE float Finish(float sum) {
  if constexpr (kForm == DistanceForm::kOneMinusDot) return 1.0f - sum;
  if constexpr (kForm == DistanceForm::kMinusDot) return -sum;
  return sum;
}

template <DistanceForm kForm>
using StepOf = std::conditional_t<kForm == DistanceForm::kSquaredL2, L2Step, DotStep>;

// Rows shorter than a vector.
template <class Step>
HWY_INLINE float ShortSum(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += Step::Scalar(a[i], b[i]);
  return sum;
}

// The last n mod Lanes elements: the last whole vector of the row with the lanes already summed
// zeroed, so that no load leaves the row and none is masked (masked loads may fault before AVX-512).
struct Tail {
  HWY_INLINE Tail(size_t n, size_t lanes) : offset(n - lanes), done(hn::FirstN(D(), lanes - n % lanes)) {}
  HWY_INLINE V Load(const float* HWY_RESTRICT row) const {
    return hn::IfThenZeroElse(done, hn::LoadU(D(), row + offset));
  }
  size_t offset;
  hn::Mask<D> done;
};

// Four sums hide the latency of the fused multiply-add.
template <DistanceForm kForm>
float One(const void* a_row, const void* b_row, const void* n_pointer) {
  using Step = StepOf<kForm>;
  const D d;
  const size_t lanes = hn::Lanes(d);
  const size_t n = *static_cast<const size_t*>(n_pointer);
  const float* HWY_RESTRICT a = static_cast<const float*>(a_row);
  const float* HWY_RESTRICT b = static_cast<const float*>(b_row);
  if (n < lanes) return Finish<kForm>(ShortSum<Step>(a, b, n));
  V sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    sum0 = Step::Vector(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = Step::Vector(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), sum1);
    sum2 = Step::Vector(hn::LoadU(d, a + i + 2 * lanes), hn::LoadU(d, b + i + 2 * lanes), sum2);
    sum3 = Step::Vector(hn::LoadU(d, a + i + 3 * lanes), hn::LoadU(d, b + i + 3 * lanes), sum3);
  }
  if (i + 2 * lanes <= n) {
    sum0 = Step::Vector(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = Step::Vector(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), sum1);
    i += 2 * lanes;
  }
  if (i + lanes <= n) {
    sum2 = Step::Vector(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum2);
    i += lanes;
  }
  if (i < n) {
    const Tail tail(n, lanes);
    sum3 = Step::Vector(tail.Load(a), tail.Load(b), sum3);
  }
  const V sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  return Finish<kForm>(hn::GetLane(hn::SumOfLanes(d, sum)));
}

// Four rows share each load of the query; two sums a row keep eight multiply-adds in flight.
template <DistanceForm kForm>
HWY_INLINE void FourRows(const float* HWY_RESTRICT query, const float* const* rows, size_t n,
                         float* HWY_RESTRICT out) {
  using Step = StepOf<kForm>;
  const D d;
  const size_t lanes = hn::Lanes(d);
  const float* HWY_RESTRICT r0 = rows[0];
  const float* HWY_RESTRICT r1 = rows[1];
  const float* HWY_RESTRICT r2 = rows[2];
  const float* HWY_RESTRICT r3 = rows[3];
  V a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const V q0 = hn::LoadU(d, query + i), q1 = hn::LoadU(d, query + i + lanes);
    a0 = Step::Vector(q0, hn::LoadU(d, r0 + i), a0);
    a1 = Step::Vector(q0, hn::LoadU(d, r1 + i), a1);
    a2 = Step::Vector(q0, hn::LoadU(d, r2 + i), a2);
    a3 = Step::Vector(q0, hn::LoadU(d, r3 + i), a3);
    b0 = Step::Vector(q1, hn::LoadU(d, r0 + i + lanes), b0);
    b1 = Step::Vector(q1, hn::LoadU(d, r1 + i + lanes), b1);
    b2 = Step::Vector(q1, hn::LoadU(d, r2 + i + lanes), b2);
    b3 = Step::Vector(q1, hn::LoadU(d, r3 + i + lanes), b3);
  }
  if (i + lanes <= n) {
    const V q0 = hn::LoadU(d, query + i);
    a0 = Step::Vector(q0, hn::LoadU(d, r0 + i), a0);
    a1 = Step::Vector(q0, hn::LoadU(d, r1 + i), a1);
    a2 = Step::Vector(q0, hn::LoadU(d, r2 + i), a2);
    a3 = Step::Vector(q0, hn::LoadU(d, r3 + i), a3);
    i += lanes;
  }
  if (i < n) {
    const Tail tail(n, lanes);
    const V q0 = tail.Load(query);
    b0 = Step::Vector(q0, tail.Load(r0), b0);
    b1 = Step::Vector(q0, tail.Load(r1), b1);
    b2 = Step::Vector(q0, tail.Load(r2), b2);
    b3 = Step::Vector(q0, tail.Load(r3), b3);
  }
  out[0] = Finish<kForm>(hn::GetLane(hn::SumOfLanes(d, hn::Add(a0, b0))));
  out[1] = Finish<kForm>(hn::GetLane(hn::SumOfLanes(d, hn::Add(a1, b1))));
  out[2] = Finish<kForm>(hn::GetLane(hn::SumOfLanes(d, hn::Add(a2, b2))));
  out[3] = Finish<kForm>(hn::GetLane(hn::SumOfLanes(d, hn::Add(a3, b3))));
}

template <DistanceForm kForm>
void Batch(const float* query, const float* const* rows, size_t count, size_t n, float* out) {
  const D d;
  if (n < hn::Lanes(d)) {
    for (size_t i = 0; i < count; ++i) {
      out[i] = Finish<kForm>(ShortSum<StepOf<kForm>>(query, rows[i], n));
    }
    return;
  }
  size_t i = 0;
  for (; i + 4 <= count; i += 4) FourRows<kForm>(query, rows + i, n, out + i);
  if (i == count) return;
  // The last one to three rows go through the same code, the last of them repeated, so that a row's
  // distance never depends on its place.
  const float* rest[4];
  float distances[4];
  for (size_t j = 0; j < 4; ++j) rest[j] = rows[i + j < count ? i + j : count - 1];
  FourRows<kForm>(query, rest, n, distances);
  for (size_t j = 0; i + j < count; ++j) out[i + j] = distances[j];
}

DistanceKernels KernelsOfTarget(DistanceForm form) {
  switch (form) {
    case DistanceForm::kOneMinusDot:
      return {&One<DistanceForm::kOneMinusDot>, &Batch<DistanceForm::kOneMinusDot>};
    case DistanceForm::kMinusDot:
      return {&One<DistanceForm::kMinusDot>, &Batch<DistanceForm::kMinusDot>};
    case DistanceForm::kSquaredL2:
      break;
  }
  return {&One<DistanceForm::kSquaredL2>, &Batch<DistanceForm::kSquaredL2>};
}

const char* NameOfTarget() { return hwy::TargetName(HWY_TARGET); }

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
