// Integer sums shared by kernels over codes; compiled once per target inside their -inl.h.
#if defined(LARDER_INDEX_KERNELS_INTEGER_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_INTEGER_DOT_INL_H_
#undef LARDER_INDEX_KERNELS_INTEGER_DOT_INL_H_
#else
#define LARDER_INDEX_KERNELS_INTEGER_DOT_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Runs `four(rows, out)` over `count` rows; the last one to three go through the same code, the last
// of them repeated, so that a row's result never depends on its place.
template <class Four>
HWY_INLINE void ByFours(const uint8_t* const* rows, size_t count, float* out, const Four& four) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) four(rows + i, out + i);
  if (i == count) return;
  const uint8_t* rest[4];
  float distances[4];
  for (size_t j = 0; j < 4; ++j) rest[j] = rows[i + j < count ? i + j : count - 1];
  four(rest, distances);
  for (size_t j = 0; i + j < count; ++j) out[i + j] = distances[j];
}

#if HWY_TARGET != HWY_SCALAR  // which has no vectors of bytes: kernels bring a loop for it

// At most 64 bytes, the block that code layouts are made of; 16 where the width is not known.
#if HWY_HAVE_SCALABLE
constexpr size_t kCodeLanes = 16;
#else
constexpr size_t kCodeLanes = HWY_MAX_BYTES < 64 ? HWY_MAX_BYTES : 64;
#endif
using ByteTag = hn::FixedTag<uint8_t, kCodeLanes>;
using SumTag = hn::FixedTag<int32_t, kCodeLanes / 4>;
using ByteVec = hn::Vec<ByteTag>;
using SumVec = hn::Vec<SumTag>;
using QuarterTag = hn::FixedTag<int32_t, 4>;

// sum + the products of unsigned `codes` and signed `query`, in any order: exact.
HWY_INLINE SumVec AddProducts(ByteVec codes, ByteVec query, SumVec sum) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
  // Highway 1.0.3 names the wrong feature for this target ("avxvnni"), so the intrinsic will not inline.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(codes.raw), "v"(query.raw));
  return sum;
#else
  const hn::FixedTag<int16_t, kCodeLanes / 2> d16;
  const auto c = hn::BitCast(d16, codes), q = hn::BitCast(d16, query);
  const auto even = hn::And(c, hn::Set(d16, 0xFF));
  const auto odd = hn::BitCast(d16, hn::ShiftRight<8>(hn::BitCast(hn::FixedTag<uint16_t, kCodeLanes / 2>(), c)));
  const SumTag d32;
  SumVec rest = hn::Zero(d32);
  sum = hn::ReorderWidenMulAccumulate(d32, even, hn::ShiftRight<8>(hn::ShiftLeft<8>(q)), sum, rest);
  sum = hn::ReorderWidenMulAccumulate(d32, odd, hn::ShiftRight<8>(q), sum, rest);
  return hn::Add(sum, rest);
#endif
}

// The last rest < kCodeLanes bytes of a row that is readable up to a multiple of 16 bytes; what lies
// beyond `rest` is anything.
HWY_INLINE ByteVec LoadRest(const uint8_t* HWY_RESTRICT at, size_t rest) {
  const ByteTag d;
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
  return hn::MaskedLoad(hn::FirstN(d, rest), d, at);
#else
  if constexpr (kCodeLanes == 32) {
    const hn::Half<ByteTag> half;
    if (rest <= 16) return hn::ZeroExtendVector(d, hn::LoadU(half, at));
  }
  (void)rest;
  return hn::LoadU(d, at);
#endif
}

// Adds the upper halves to the lower until four sums are left.
template <class D, class V = hn::Vec<D>>
HWY_INLINE hn::Vec<QuarterTag> FoldToQuarter(D d, V sums) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return FoldToQuarter(half, hn::Add(hn::LowerHalf(half, sums), hn::UpperHalf(half, sums)));
  } else {
    (void)d;
    return sums;
  }
}

// The four vectors' sums, in order: transposed within 128-bit blocks while being added.
HWY_INLINE hn::Vec<QuarterTag> FourSums(SumVec a, SumVec b, SumVec c, SumVec e) {
  const SumTag d;
  const hn::FixedTag<int64_t, kCodeLanes / 8> d64;
  const SumVec ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const SumVec ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
  const auto ab64 = hn::BitCast(d64, ab), ce64 = hn::BitCast(d64, ce);
  const SumVec all = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, ab64, ce64)),
                             hn::BitCast(d, hn::InterleaveUpper(d64, ab64, ce64)));
  return FoldToQuarter(d, all);
}

#endif  // HWY_SCALAR

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
