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

// One word against its query planes, from the highest down: Horner's rule.
HWY_INLINE int64_t WordSum(uint64_t word, const uint64_t* HWY_RESTRICT planes, size_t stride, size_t query_planes) {
  int64_t sum = 0;
  for (size_t p = query_planes; p-- > 0;) {
    const int64_t ones = std::popcount(word & planes[p * stride]);
    sum = 2 * sum + (p + 1 == query_planes ? -ones : ones);
  }
  return sum;
}

HWY_INLINE int64_t ScalarPlaneSum(const PlaneQuery& query, const uint8_t* HWY_RESTRICT row, size_t from) {
  const size_t row_words = query.words * query.code_planes;
  int64_t sum = 0;
  for (size_t i = from; i < row_words; ++i) {
    uint64_t word;
    std::memcpy(&word, row + 8 * i, sizeof(word));
    sum += WordSum(word, query.planes + i, row_words, query.query_planes) << (i / query.words);
  }
  return sum;
}

#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
using WordTag = hn::ScalableTag<uint64_t>;
using WordVec = hn::Vec<WordTag>;

HWY_INLINE WordVec WordSums(WordVec words, const uint64_t* HWY_RESTRICT planes, size_t stride, size_t query_planes,
                            hn::Mask<WordTag> some) {
  const WordTag d;
  WordVec sums = hn::Zero(d);
  for (size_t p = query_planes; p-- > 0;) {
    const WordVec ones = hn::PopulationCount(hn::And(words, hn::MaskedLoad(some, d, planes + p * stride)));
    sums = hn::Add(sums, sums);
    sums = p + 1 == query_planes ? hn::Sub(sums, ones) : hn::Add(sums, ones);
  }
  return sums;
}

// Sums modulo 2^64, which two's complement makes signed.
HWY_INLINE int64_t PlaneSum(const PlaneQuery& query, const uint8_t* HWY_RESTRICT row) {
  const WordTag d;
  const size_t lanes = hn::Lanes(d), row_words = query.words * query.code_planes;
  const uint64_t* HWY_RESTRICT words = reinterpret_cast<const uint64_t*>(row);
  WordVec sum = hn::Zero(d);
  for (size_t i = 0; i < row_words; i += lanes) {
    const auto some = hn::FirstN(d, row_words - i);
    const WordVec sums =
        WordSums(hn::MaskedLoad(some, d, words + i), query.planes + i, row_words, query.query_planes, some);
    if (query.code_planes == 1) {
      sum = hn::Add(sum, sums);
    } else {
      // Words of several planes may share the vector.
      HWY_ALIGN uint64_t shifts[8];
      for (size_t j = 0; j < lanes; ++j) shifts[j] = (i + j) / query.words;
      sum = hn::Add(sum, hn::Shl(sums, hn::Load(d, shifts)));
    }
  }
  return static_cast<int64_t>(hn::GetLane(hn::SumOfLanes(d, sum)));
}
#else
HWY_INLINE int64_t PlaneSum(const PlaneQuery& query, const uint8_t* HWY_RESTRICT row) {
  return ScalarPlaneSum(query, row, 0);
}
#endif

void PlaneRows(const PlaneQuery& query, const uint8_t* const* rows, size_t count, float* out) {
  const size_t bytes = 8 * query.words * query.code_planes;
  for (size_t i = 0; i < count; ++i) {
    float factors[2];
    std::memcpy(factors, rows[i] + bytes, sizeof(factors));
    const float sum = static_cast<float>(PlaneSum(query, rows[i]));
    out[i] = query.constant + factors[0] * (query.dot * sum + query.step) + factors[1];
  }
}

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
