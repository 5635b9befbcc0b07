// Rows into f32 and rows out: rotation, rounding, scatter; compiled once per target by kv_kernels.cc.
#if defined(LARDER_ENGINE_KV_CODEC_PLACE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_ENGINE_KV_CODEC_PLACE_INL_H_
#undef LARDER_ENGINE_KV_CODEC_PLACE_INL_H_
#else
#define LARDER_ENGINE_KV_CODEC_PLACE_INL_H_
#endif

#include "engine/kv/codec/convert-inl.h"
#include "engine/kv/codec/kv_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace larder::kv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <KvDtype kType>
void WidenRow(const uint8_t* from, size_t n, float* row) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(LoadVector<kType>(from + i * kBytes), d, row + i);
  for (; i < n; ++i) row[i] = LoadElement(kType, from + i * kBytes);
}

// n elements as they are.
template <KvDtype kType>
HWY_INLINE void PlacePlain(const float* HWY_RESTRICT row, size_t n, uint8_t* HWY_RESTRICT to) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreVector<kType>(hn::LoadU(d, row + i), to + i * kBytes);
  if (i < n) StoreSome<kType>(hn::LoadU(d, row + i), n - i, to + i * kBytes);
}

template <KvDtype kType>
HWY_INLINE void PlaceHalves(const float* HWY_RESTRICT row, size_t half, const float* HWY_RESTRICT rope,
                            uint8_t* HWY_RESTRICT to) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < half; i += lanes) {
    const RowVec a = hn::LoadU(d, row + i), b = hn::LoadU(d, row + half + i);
    const RowVec cosine = hn::LoadU(d, rope + i), sine = hn::LoadU(d, rope + half + i);
    const RowVec first = hn::NegMulAdd(b, sine, hn::Mul(a, cosine));
    const RowVec second = hn::MulAdd(a, sine, hn::Mul(b, cosine));
    if (i + lanes <= half) {
      StoreVector<kType>(first, to + i * kBytes);
      StoreVector<kType>(second, to + (half + i) * kBytes);
    } else {
      StoreSome<kType>(first, half - i, to + i * kBytes);
      StoreSome<kType>(second, half - i, to + (half + i) * kBytes);
    }
  }
}

template <KvDtype kType>
HWY_INLINE void PlacePairs(const float* HWY_RESTRICT row, size_t rotary, const float* HWY_RESTRICT rope,
                           uint8_t* HWY_RESTRICT to) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
#if HWY_TARGET == HWY_SCALAR  // a vector holds no pair
  for (size_t i = 0; i < rotary; i += 2) {
    StoreElement(kType, row[i] * rope[i] + row[i + 1] * rope[rotary + i], to + i * kBytes);
    StoreElement(kType, row[i + 1] * rope[i + 1] + row[i] * rope[rotary + i + 1], to + (i + 1) * kBytes);
  }
#else
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < rotary; i += lanes) {
    const RowVec a = hn::LoadU(d, row + i);
    const RowVec turned = hn::MulAdd(hn::Shuffle2301(a), hn::LoadU(d, rope + rotary + i),
                                     hn::Mul(a, hn::LoadU(d, rope + i)));
    if (i + lanes <= rotary) {
      StoreVector<kType>(turned, to + i * kBytes);
    } else {
      StoreSome<kType>(turned, rotary - i, to + i * kBytes);
    }
  }
#endif
}

template <KvDtype kType, RopeStyle kStyle>
void PlaceRow(const PlacedRow& p) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  if (kStyle == RopeStyle::kNone && p.stride == p.dim * kBytes) {
    return PlacePlain<kType>(p.row, static_cast<size_t>(p.heads) * p.dim, p.to);
  }
  for (uint32_t head = 0; head < p.heads; ++head) {
    const float* row = p.row + static_cast<size_t>(head) * p.dim;
    uint8_t* to = p.to + head * p.stride;
    if constexpr (kStyle == RopeStyle::kNeox) PlaceHalves<kType>(row, p.rotary_dim / 2, p.rope, to);
    if constexpr (kStyle == RopeStyle::kInterleaved) PlacePairs<kType>(row, p.rotary_dim, p.rope, to);
    const size_t turned = kStyle == RopeStyle::kNone ? 0 : p.rotary_dim;
    if (turned < p.dim) PlacePlain<kType>(row + turned, p.dim - turned, to + turned * kBytes);
  }
}

template <KvDtype kType>
void SetPlaces(KvKernels::Place* places) {
  places[static_cast<size_t>(RopeStyle::kNone)] = &PlaceRow<kType, RopeStyle::kNone>;
  places[static_cast<size_t>(RopeStyle::kNeox)] = &PlaceRow<kType, RopeStyle::kNeox>;
  places[static_cast<size_t>(RopeStyle::kInterleaved)] = &PlaceRow<kType, RopeStyle::kInterleaved>;
}

}  // namespace larder::kv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
