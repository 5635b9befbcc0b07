// Vectors between f32 and stored types; compiled once per target inside the kernels.
#if defined(LARDER_ENGINE_KV_CODEC_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_ENGINE_KV_CODEC_CONVERT_INL_H_
#undef LARDER_ENGINE_KV_CODEC_CONVERT_INL_H_
#else
#define LARDER_ENGINE_KV_CODEC_CONVERT_INL_H_
#endif

#include <cstring>

#include "engine/kv/codec/element.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace larder::kv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 16 numbers at most: code blocks are made of 16.
using RowTag = hn::CappedTag<float, 16>;
using RowVec = hn::Vec<RowTag>;
constexpr size_t kMostLanes = 16;

// Where Highway would emulate f16 it rounds otherwise: one number at a time then.
#if (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2) || HWY_ARCH_WASM || HWY_TARGET == HWY_EMU128
constexpr bool kHasF16 = false;
#else
constexpr bool kHasF16 = true;
#endif
// A vector of elements must fill a whole store.
constexpr bool kCanStream = hn::MaxLanes(RowTag()) >= 8;

template <KvDtype kType>
HWY_INLINE RowVec LoadVector(const uint8_t* HWY_RESTRICT from) {
  const RowTag d;
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, LoadElement(kType, from));
#else
  if constexpr (kType == KvDtype::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(from));
  } else if constexpr (kType == KvDtype::kF16 && !kHasF16) {
    float numbers[kMostLanes];
    for (size_t i = 0; i < hn::Lanes(d); ++i) numbers[i] = LoadElement(kType, from + 2 * i);
    return hn::LoadU(d, numbers);
  } else {
    const auto bits = hn::LoadU(hn::Rebind<uint16_t, RowTag>(), reinterpret_cast<const uint16_t*>(from));
    if constexpr (kType == KvDtype::kF16) {
      return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, RowTag>(), bits));
    } else {
      return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(hn::Rebind<uint32_t, RowTag>(), bits)));
    }
  }
#endif
}

// Streamed: past the caches, which spares reading a line only to overwrite it. Such a line must be aligned.
template <bool kStream, class D>
HWY_INLINE void StoreOrStream(hn::Vec<D> value, D d, hn::TFromD<D>* HWY_RESTRICT to) {
  if constexpr (kStream) {
    hn::Stream(value, d, to);
  } else {
    hn::StoreU(value, d, to);
  }
}

template <KvDtype kType, bool kStream = false>
HWY_INLINE void StoreVector(RowVec value, uint8_t* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  StoreElement(kType, hn::GetLane(value), to);
#else
  const RowTag d;
  const hn::Rebind<uint16_t, RowTag> d16;
  if constexpr (kType == KvDtype::kF32) {
    StoreOrStream<kStream>(value, d, reinterpret_cast<float*>(to));
  } else if constexpr (kType == KvDtype::kF16 && !kHasF16) {
    float numbers[kMostLanes];
    hn::StoreU(value, d, numbers);
    for (size_t i = 0; i < hn::Lanes(d); ++i) StoreElement(kType, numbers[i], to + 2 * i);
  } else if constexpr (kType == KvDtype::kF16) {
    const auto half = hn::DemoteTo(hn::Rebind<hwy::float16_t, RowTag>(), value);
    StoreOrStream<kStream>(hn::BitCast(d16, half), d16, reinterpret_cast<uint16_t*>(to));
  } else {
    const hn::Rebind<uint32_t, RowTag> d32;
    const auto bits = hn::BitCast(d32, value);
    const auto high = hn::ShiftRight<16>(bits);
    const auto rounded = hn::Add(bits, hn::Add(hn::And(high, hn::Set(d32, 1)), hn::Set(d32, 0x7FFF)));
    const auto quiet = hn::BitCast(d, hn::Or(bits, hn::Set(d32, 0x400000)));
    const auto kept = hn::BitCast(d32, hn::IfThenElse(hn::IsNaN(value), quiet, hn::BitCast(d, rounded)));
    const auto narrow = hn::DemoteTo(d16, hn::BitCast(hn::Rebind<int32_t, RowTag>(), hn::ShiftRight<16>(kept)));
    StoreOrStream<kStream>(narrow, d16, reinterpret_cast<uint16_t*>(to));
  }
#endif
}

// The first n < lanes elements of a vector, and nothing behind them.
template <KvDtype kType>
HWY_INLINE void StoreSome(RowVec value, size_t n, uint8_t* HWY_RESTRICT to) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  uint8_t whole[kMostLanes * kBytes];
  StoreVector<kType>(value, whole);
  std::memcpy(to, whole, n * kBytes);
}

}  // namespace larder::kv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
