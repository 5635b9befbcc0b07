// The bodies of scalar_codes.h, compiled once per target by scalar_codes.cc through foreach_target.h.
#if defined(LARDER_INDEX_KERNELS_SCALAR_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_SCALAR_CODES_INL_H_
#undef LARDER_INDEX_KERNELS_SCALAR_CODES_INL_H_
#else
#define LARDER_INDEX_KERNELS_SCALAR_CODES_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "index/kernels/integer_dot-inl.h"
#include "index/kernels/scalar_codes.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <bool kNorm>
HWY_INLINE float FinishScalar(const ScalarTerms& terms, const uint8_t* HWY_RESTRICT factors, float sum) {
  float lo, step, norm;
  std::memcpy(&lo, factors, sizeof(float));
  std::memcpy(&step, factors + 4, sizeof(float));
  float distance = terms.constant + terms.lo * lo + step * (terms.dot * sum + terms.step);
  if constexpr (kNorm) {
    std::memcpy(&norm, factors + 8, sizeof(float));
    distance += terms.norm * norm;
  }
  return distance;
}

#if HWY_TARGET == HWY_SCALAR

template <bool kNorm>
HWY_INLINE void FourSq8(const ScalarQuery& query, const uint8_t* const* rows, float* HWY_RESTRICT out) {
  for (size_t row = 0; row < 4; ++row) {
    int32_t sum = 0;
    for (size_t i = 0; i < query.dimension; ++i) sum += rows[row][i] * query.values[i];
    out[row] = FinishScalar<kNorm>(query.terms, rows[row] + query.dimension, static_cast<float>(sum));
  }
}

template <bool kNorm>
HWY_INLINE void FourSq4(const ScalarQuery& query, const uint8_t* const* rows, float* HWY_RESTRICT out) {
  const size_t n = (query.dimension + 1) / 2;
  for (size_t row = 0; row < 4; ++row) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; ++i) {
      const int8_t* low = query.values + 2 * i - i % 64;
      sum += (rows[row][i] & 15) * low[0] + (rows[row][i] >> 4) * low[64];
    }
    out[row] = FinishScalar<kNorm>(query.terms, rows[row] + n, static_cast<float>(sum));
  }
}

#else  // vectors

template <bool kNorm>
HWY_INLINE void FinishFour(const ScalarTerms& terms, const uint8_t* const* rows, size_t code_bytes,
                           hn::Vec<QuarterTag> sums, float* HWY_RESTRICT out) {
  HWY_ALIGN float dots[4];
  const hn::FixedTag<float, 4> d;
  hn::Store(hn::ConvertTo(d, sums), d, dots);
  for (size_t i = 0; i < 4; ++i) out[i] = FinishScalar<kNorm>(terms, rows[i] + code_bytes, dots[i]);
}

// Four rows share each load of the query.
template <bool kNorm>
HWY_INLINE void FourSq8(const ScalarQuery& query, const uint8_t* const* rows, float* HWY_RESTRICT out) {
  const ByteTag d;
  const size_t n = query.dimension;
  const uint8_t* HWY_RESTRICT q = reinterpret_cast<const uint8_t*>(query.values);
  const uint8_t* HWY_RESTRICT r0 = rows[0];
  const uint8_t* HWY_RESTRICT r1 = rows[1];
  const uint8_t* HWY_RESTRICT r2 = rows[2];
  const uint8_t* HWY_RESTRICT r3 = rows[3];
  SumVec s0 = hn::Zero(SumTag()), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + kCodeLanes <= n; i += kCodeLanes) {
    const ByteVec values = hn::LoadU(d, q + i);
    s0 = AddProducts(hn::LoadU(d, r0 + i), values, s0);
    s1 = AddProducts(hn::LoadU(d, r1 + i), values, s1);
    s2 = AddProducts(hn::LoadU(d, r2 + i), values, s2);
    s3 = AddProducts(hn::LoadU(d, r3 + i), values, s3);
  }
  if (i < n) {
    const ByteVec values = hn::LoadU(d, q + i);
    s0 = AddProducts(LoadRest(r0 + i, n - i), values, s0);
    s1 = AddProducts(LoadRest(r1 + i, n - i), values, s1);
    s2 = AddProducts(LoadRest(r2 + i, n - i), values, s2);
    s3 = AddProducts(LoadRest(r3 + i, n - i), values, s3);
  }
  FinishFour<kNorm>(query.terms, rows, n, FourSums(s0, s1, s2, s3), out);
}

// Low and high nibbles into sums of their own, to keep eight chains in flight.
struct NibbleSums {
  SumVec low, high;
  HWY_INLINE NibbleSums() : low(hn::Zero(SumTag())), high(hn::Zero(SumTag())) {}
  HWY_INLINE void Add(ByteVec codes, ByteVec low_values, ByteVec high_values) {
    const ByteTag d;
    const hn::Repartition<uint16_t, ByteTag> d16;
    const ByteVec mask = hn::Set(d, 0x0F);
    const ByteVec shifted = hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, codes)));
    low = AddProducts(hn::And(codes, mask), low_values, low);
    high = AddProducts(hn::And(shifted, mask), high_values, high);
  }
  HWY_INLINE SumVec Total() const { return hn::Add(low, high); }
};

template <bool kNorm>
HWY_INLINE void FourSq4(const ScalarQuery& query, const uint8_t* const* rows, float* HWY_RESTRICT out) {
  const ByteTag d;
  const size_t n = (query.dimension + 1) / 2;
  const uint8_t* HWY_RESTRICT q = reinterpret_cast<const uint8_t*>(query.values);
  NibbleSums s0, s1, s2, s3;
  size_t i = 0;
  for (; i + kCodeLanes <= n; i += kCodeLanes) {
    const uint8_t* HWY_RESTRICT block = q + 2 * i - i % 64;
    const ByteVec low = hn::LoadU(d, block), high = hn::LoadU(d, block + 64);
    s0.Add(hn::LoadU(d, rows[0] + i), low, high);
    s1.Add(hn::LoadU(d, rows[1] + i), low, high);
    s2.Add(hn::LoadU(d, rows[2] + i), low, high);
    s3.Add(hn::LoadU(d, rows[3] + i), low, high);
  }
  if (i < n) {
    const uint8_t* HWY_RESTRICT block = q + 2 * i - i % 64;
    const ByteVec low = hn::LoadU(d, block), high = hn::LoadU(d, block + 64);
    s0.Add(LoadRest(rows[0] + i, n - i), low, high);
    s1.Add(LoadRest(rows[1] + i, n - i), low, high);
    s2.Add(LoadRest(rows[2] + i, n - i), low, high);
    s3.Add(LoadRest(rows[3] + i, n - i), low, high);
  }
  FinishFour<kNorm>(query.terms, rows, n, FourSums(s0.Total(), s1.Total(), s2.Total(), s3.Total()), out);
}

#endif  // HWY_SCALAR

void Sq8Batch(const ScalarQuery& query, const uint8_t* const* rows, size_t count, float* out) {
  if (query.terms.norm != 0) {
    ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourSq8<true>(query, r, o); });
  } else {
    ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourSq8<false>(query, r, o); });
  }
}

void Sq4Batch(const ScalarQuery& query, const uint8_t* const* rows, size_t count, float* out) {
  if (query.terms.norm != 0) {
    ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourSq4<true>(query, r, o); });
  } else {
    ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourSq4<false>(query, r, o); });
  }
}

using FullTag = hn::CappedTag<float, 16>;  // one lane under HWY_SCALAR

// <query, 204 nibble + residual> of one row. Past the last dimension the query is zero, and whatever
// bytes of the row lie there count nothing.
HWY_INLINE float ResidualDot(const ResidualQuery& query, const uint8_t* HWY_RESTRICT row,
                             const uint8_t* HWY_RESTRICT residual) {
  const FullTag d;
  const hn::Rebind<int32_t, FullTag> d32;
  const hn::Rebind<uint8_t, FullTag> d8;
  const size_t lanes = hn::Lanes(d), bytes = (query.dimension + 1) / 2;
  const auto mask = hn::Set(d32, 15), steps = hn::Set(d32, kResidualSteps);
  auto low_sum = hn::Zero(d), high_sum = hn::Zero(d);
  for (size_t block = 0; block < bytes; block += 64) {
    const size_t width = bytes - block < 64 ? bytes - block : 64;
    for (size_t i = 0; i < width; i += lanes) {
      const auto nibbles = hn::PromoteTo(d32, hn::LoadU(d8, row + block + i));
      const auto low_rest = hn::PromoteTo(d32, hn::LoadU(d8, residual + 2 * block + i));
      const auto high_rest = hn::PromoteTo(d32, hn::LoadU(d8, residual + 2 * block + width + i));
      const auto low = hn::Add(hn::Mul(hn::And(nibbles, mask), steps), low_rest);
      const auto high = hn::Add(hn::Mul(hn::ShiftRight<4>(nibbles), steps), high_rest);
      const float* HWY_RESTRICT q = query.values + 2 * block + i;
      low_sum = hn::MulAdd(hn::LoadU(d, q), hn::ConvertTo(d, low), low_sum);
      high_sum = hn::MulAdd(hn::LoadU(d, q + 64), hn::ConvertTo(d, high), high_sum);
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(low_sum, high_sum)));
}

void Sq4x8Batch(const ResidualQuery& query, const uint8_t* const* rows, const uint8_t* const* residuals,
                size_t count, float* out) {
  const size_t bytes = (query.dimension + 1) / 2;
  for (size_t i = 0; i < count; ++i) {
    const float sum = ResidualDot(query, rows[i], residuals[i]);
    out[i] = query.terms.norm != 0 ? FinishScalar<true>(query.terms, rows[i] + bytes, sum)
                                   : FinishScalar<false>(query.terms, rows[i] + bytes, sum);
  }
}

// Zeroes what lies between the places, so that any metric may run over all of them.
void Sq4x8Decode(const ResidualRow& row, size_t dimension, const float* centre, float* out) {
  const FullTag d;
  const hn::Rebind<int32_t, FullTag> d32;
  const hn::Rebind<uint8_t, FullTag> d8;
  const size_t lanes = hn::Lanes(d), bytes = (dimension + 1) / 2;
  const auto mask = hn::Set(d32, 15), steps = hn::Set(d32, kResidualSteps);
  const auto scale = hn::Set(d, row.step / kResidualSteps);
  const auto shift = hn::Set(d, row.lo - kResidualReach * row.step);
  for (size_t block = 0; block < bytes; block += 64) {
    const size_t width = bytes - block < 64 ? bytes - block : 64;
    const size_t high_width = dimension - 2 * block - width < 64 ? dimension - 2 * block - width : 64;
    for (size_t i = 0; i < 64; i += lanes) {
      const size_t low_left = i < width ? width - i : 0, high_left = i < high_width ? high_width - i : 0;
      float* HWY_RESTRICT low_out = out + 2 * block + i;
      if (low_left == 0) {
        hn::StoreU(hn::Zero(d), d, low_out);
        hn::StoreU(hn::Zero(d), d, low_out + 64);
        continue;
      }
      const auto nibbles = hn::PromoteTo(d32, hn::LoadU(d8, row.prefix + block + i));
      const auto low_rest = hn::PromoteTo(d32, hn::LoadU(d8, row.residual + 2 * block + i));
      const auto high_rest = hn::PromoteTo(d32, hn::LoadU(d8, row.residual + 2 * block + width + i));
      const auto low = hn::Add(hn::Mul(hn::And(nibbles, mask), steps), low_rest);
      const auto high = hn::Add(hn::Mul(hn::ShiftRight<4>(nibbles), steps), high_rest);
      const float* HWY_RESTRICT c = centre + 2 * block + i;
      const auto low_value = hn::Add(hn::LoadU(d, c), hn::MulAdd(hn::ConvertTo(d, low), scale, shift));
      const auto high_value = hn::Add(hn::LoadU(d, c + 64), hn::MulAdd(hn::ConvertTo(d, high), scale, shift));
      hn::StoreU(hn::IfThenElseZero(hn::FirstN(d, low_left), low_value), d, low_out);
      hn::StoreU(hn::IfThenElseZero(hn::FirstN(d, high_left), high_value), d, low_out + 64);
    }
  }
}

ScalarKernels ScalarKernelsOfTarget() { return {&Sq8Batch, &Sq4Batch, &Sq4x8Batch, &Sq4x8Decode}; }

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
