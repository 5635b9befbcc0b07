// The bodies of bit_codes.h, compiled once per target by bit_codes.cc through foreach_target.h.
#if defined(LARDER_INDEX_KERNELS_BIT_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_INDEX_KERNELS_BIT_CODES_INL_H_
#undef LARDER_INDEX_KERNELS_BIT_CODES_INL_H_
#else
#define LARDER_INDEX_KERNELS_BIT_CODES_INL_H_
#endif

#include <bit>
#include <cstring>

#include "hwy/highway.h"
#include "index/kernels/bit_codes.h"
#include "index/kernels/integer_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace larder::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE float FinishPlanes(const PlaneQuery& query, const uint8_t* HWY_RESTRICT row, float sum) {
  float factors[2];
  std::memcpy(factors, row + 8 * query.words * query.code_planes, sizeof(factors));
  return query.constant + factors[0] * (query.dot * sum + query.step) + factors[1];
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
using WordTag = hn::FixedTag<uint64_t, 8>;
using WordVec = hn::Vec<WordTag>;

// Which code plane each of eight words from `first` belongs to: several may share a vector.
HWY_INLINE WordVec PlaneShifts(const PlaneQuery& query, size_t first) {
  const WordTag d;
  const WordVec place = hn::Iota(d, first), one = hn::Set(d, 1);
  WordVec shifts = hn::Zero(d);
  for (size_t begin = query.words; begin < query.words * query.code_planes; begin += query.words) {
    shifts = hn::Add(shifts, hn::IfThenZeroElse(hn::Lt(place, hn::Set(d, begin)), one));
  }
  return shifts;
}

// Four rows share each load of the query. Horner's rule over its planes from the highest, which counts
// negative; everything modulo 2^32, which two's complement makes signed.
HWY_INLINE void FourPlaneRows(const PlaneQuery& query, const uint8_t* const* rows, float* HWY_RESTRICT out) {
  const WordTag d;
  const size_t row_words = query.words * query.code_planes;
  WordVec t0 = hn::Zero(d), t1 = t0, t2 = t0, t3 = t0;
  for (size_t i = 0; i < row_words; i += 8) {
    const auto some = hn::FirstN(d, row_words - i);
    const auto load = [&](const void* at) HWY_ATTR {
      return hn::MaskedLoad(some, d, static_cast<const uint64_t*>(at));
    };
    const WordVec w0 = load(rows[0] + 8 * i), w1 = load(rows[1] + 8 * i), w2 = load(rows[2] + 8 * i),
                  w3 = load(rows[3] + 8 * i);
    const uint64_t* HWY_RESTRICT planes = query.planes + i + (query.query_planes - 1) * row_words;
    const WordVec top = load(planes), zero = hn::Zero(d);
    WordVec s0 = hn::Sub(zero, hn::PopulationCount(hn::And(w0, top)));
    WordVec s1 = hn::Sub(zero, hn::PopulationCount(hn::And(w1, top)));
    WordVec s2 = hn::Sub(zero, hn::PopulationCount(hn::And(w2, top)));
    WordVec s3 = hn::Sub(zero, hn::PopulationCount(hn::And(w3, top)));
    for (size_t p = 1; p < query.query_planes; ++p) {
      planes -= row_words;
      const WordVec q = load(planes);
      s0 = hn::Add(hn::Add(s0, s0), hn::PopulationCount(hn::And(w0, q)));
      s1 = hn::Add(hn::Add(s1, s1), hn::PopulationCount(hn::And(w1, q)));
      s2 = hn::Add(hn::Add(s2, s2), hn::PopulationCount(hn::And(w2, q)));
      s3 = hn::Add(hn::Add(s3, s3), hn::PopulationCount(hn::And(w3, q)));
    }
    if (query.code_planes > 1) {
      const WordVec shifts = PlaneShifts(query, i);
      s0 = hn::Shl(s0, shifts), s1 = hn::Shl(s1, shifts), s2 = hn::Shl(s2, shifts), s3 = hn::Shl(s3, shifts);
    }
    t0 = hn::Add(t0, s0), t1 = hn::Add(t1, s1), t2 = hn::Add(t2, s2), t3 = hn::Add(t3, s3);
  }
  const auto low = [&](WordVec t) HWY_ATTR { return hn::BitCast(SumTag(), hn::And(t, hn::Set(d, 0xFFFFFFFF))); };
  HWY_ALIGN float sums[4];
  const hn::FixedTag<float, 4> df;
  hn::Store(hn::ConvertTo(df, FourSums(low(t0), low(t1), low(t2), low(t3))), df, sums);
  for (size_t i = 0; i < 4; ++i) out[i] = FinishPlanes(query, rows[i], sums[i]);
}

void PlaneRows(const PlaneQuery& query, const uint8_t* const* rows, size_t count, float* out) {
  ByFours(rows, count, out, [&](const uint8_t* const* r, float* o) HWY_ATTR { FourPlaneRows(query, r, o); });
}
#else
// One word against its query planes, from the highest down: Horner's rule.
HWY_INLINE int64_t WordSum(uint64_t word, const uint64_t* HWY_RESTRICT planes, size_t stride, size_t query_planes) {
  int64_t sum = -static_cast<int64_t>(std::popcount(word & planes[(query_planes - 1) * stride]));
  for (size_t p = query_planes - 1; p-- > 0;) sum = 2 * sum + std::popcount(word & planes[p * stride]);
  return sum;
}

// CPUs without a popcount of vectors have one of words.
void PlaneRows(const PlaneQuery& query, const uint8_t* const* rows, size_t count, float* out) {
  for (size_t row = 0; row < count; ++row) {
    int64_t sum = 0;
    for (size_t b = 0; b < query.code_planes; ++b) {
      for (size_t i = b * query.words; i < (b + 1) * query.words; ++i) {
        uint64_t word;
        std::memcpy(&word, rows[row] + 8 * i, sizeof(word));
        sum += WordSum(word, query.planes + i, query.words * query.code_planes, query.query_planes) *
               (int64_t{1} << b);
      }
    }
    out[row] = FinishPlanes(query, rows[row], static_cast<float>(sum));
  }
}
#endif

// 255 * 256 fits 16 bits.
constexpr size_t kGroupsAtOnce = 256;

#if HWY_TARGET == HWY_SCALAR
void SumBlock(const uint8_t* tables, const uint8_t* block, size_t groups, uint32_t* sums) {
  for (size_t i = 0; i < kBlockCodes; ++i) sums[i] = 0;
  for (size_t g = 0; g < groups; ++g) {
    for (size_t j = 0; j < 16; ++j) {
      sums[j] += tables[16 * g + (block[16 * g + j] & 15)];
      sums[16 + j] += tables[16 * g + (block[16 * g + j] >> 4)];
    }
  }
}
#else
using WideTag = hn::Repartition<uint16_t, ByteTag>;
using WideVec = hn::Vec<WideTag>;
using EighthTag = hn::FixedTag<uint16_t, 8>;

template <class D, class V = hn::Vec<D>>
HWY_INLINE hn::Vec<EighthTag> FoldToEight(D d, V sums) {
  if constexpr (hn::MaxLanes(D()) > 8) {
    const hn::Half<D> half;
    return FoldToEight(half, hn::Add(hn::LowerHalf(half, sums), hn::UpperHalf(half, sums)));
  } else {
    (void)d;
    return sums;
  }
}

// Adds sixteen sums: `even` holds those of codes 0, 2, .., `odd` those of 1, 3, ...
HWY_INLINE void AddSixteen(WideVec even, WideVec odd, uint32_t* HWY_RESTRICT sums) {
  const EighthTag d;
  HWY_ALIGN uint16_t evens[8], odds[8];
  hn::Store(FoldToEight(WideTag(), even), d, evens);
  hn::Store(FoldToEight(WideTag(), odd), d, odds);
  for (size_t i = 0; i < 8; ++i) sums[2 * i] += evens[i], sums[2 * i + 1] += odds[i];
}

HWY_INLINE void SumGroups(const uint8_t* HWY_RESTRICT tables, const uint8_t* HWY_RESTRICT block, size_t bytes,
                          uint32_t* HWY_RESTRICT sums) {
  const ByteTag d;
  const WideTag wide;
  const ByteVec mask = hn::Set(d, 0x0F);
  const WideVec low_byte = hn::Set(wide, 0xFF);
  WideVec even0 = hn::Zero(wide), odd0 = even0, even1 = even0, odd1 = even0;
  for (size_t i = 0; i < bytes; i += kCodeLanes) {
    const ByteVec table = hn::LoadU(d, tables + i), codes = hn::LoadU(d, block + i);
    const ByteVec high = hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(wide, codes))), mask);
    const WideVec found0 = hn::BitCast(wide, hn::TableLookupBytes(table, hn::And(codes, mask)));
    const WideVec found1 = hn::BitCast(wide, hn::TableLookupBytes(table, high));
    even0 = hn::Add(even0, hn::And(found0, low_byte));
    odd0 = hn::Add(odd0, hn::ShiftRight<8>(found0));
    even1 = hn::Add(even1, hn::And(found1, low_byte));
    odd1 = hn::Add(odd1, hn::ShiftRight<8>(found1));
  }
  AddSixteen(even0, odd0, sums);
  AddSixteen(even1, odd1, sums + 16);
}

void SumBlock(const uint8_t* tables, const uint8_t* block, size_t groups, uint32_t* sums) {
  for (size_t i = 0; i < kBlockCodes; ++i) sums[i] = 0;
  for (size_t g = 0; g < groups; g += kGroupsAtOnce) {
    const size_t some = groups - g < kGroupsAtOnce ? groups - g : kGroupsAtOnce;
    SumGroups(tables + 16 * g, block + 16 * g, 16 * some, sums);
  }
}
#endif  // HWY_SCALAR

BitKernels BitKernelsOfTarget() { return {&PlaneRows, &SumBlock}; }

}  // namespace larder::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
