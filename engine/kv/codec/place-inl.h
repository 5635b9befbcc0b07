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
template <KvDtype kType, bool kStream>
HWY_INLINE void PlacePlain(const float* HWY_RESTRICT row, size_t n, uint8_t* HWY_RESTRICT to) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreVector<kType, kStream>(hn::LoadU(d, row + i), to + i * kBytes);
  if (i < n) StoreSome<kType>(hn::LoadU(d, row + i), n - i, to + i * kBytes);
}

// Calls use(row, to, i, cosines, sines) for each vector i of the first n elements of every head; the rope's row has
// n cosines and n sines. Heads lie within, so that these are loaded once for all of them; but a line that is
// streamed must be whole before the next begins, which takes two vectors, or all of a head.
template <KvDtype kType, bool kStream, class Use>
HWY_INLINE void EachHead(const PlacedRow& p, size_t n, const Use& use) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2, kVectorBytes = hn::MaxLanes(RowTag()) * kBytes;
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  const float* HWY_RESTRICT rope = p.rope;
  const auto load = [rope](size_t i) HWY_ATTR { return hn::LoadU(RowTag(), rope + i); };
  if constexpr (kStream && kVectorBytes == 32) {
    for (size_t i = 0; i < n; i += 2 * lanes) {
      const RowVec cosines0 = load(i), sines0 = load(n + i), cosines1 = load(i + lanes), sines1 = load(n + i + lanes);
      const float* row = p.row + i;
      uint8_t* to = p.to + i * kBytes;
      for (uint32_t head = p.heads; head > 0; --head, row += p.dim, to += p.stride) {
        use(row, to, i, cosines0, sines0);
        use(row + lanes, to + kVectorBytes, i + lanes, cosines1, sines1);
      }
    }
  } else if constexpr (kStream && kVectorBytes < 32) {
    for (uint32_t head = 0; head < p.heads; ++head) {
      const float* row = p.row + size_t{head} * p.dim;
      uint8_t* to = p.to + head * p.stride;
      for (size_t i = 0; i < n; i += lanes) use(row + i, to + i * kBytes, i, load(i), load(n + i));
    }
  } else {
    for (size_t i = 0; i < n; i += lanes) {
      const RowVec cosines = load(i), sines = load(n + i);
      const float* row = p.row + i;
      uint8_t* to = p.to + i * kBytes;
      for (uint32_t head = p.heads; head > 0; --head, row += p.dim, to += p.stride) use(row, to, i, cosines, sines);
    }
  }
}

template <KvDtype kType, bool kStream>
HWY_INLINE void StoreUpTo(RowVec value, size_t room, uint8_t* HWY_RESTRICT to) {
  if (room >= hn::Lanes(RowTag())) {
    StoreVector<kType, kStream>(value, to);
  } else {
    StoreSome<kType>(value, room, to);
  }
}

template <KvDtype kType, bool kStream>
HWY_INLINE void PlaceHalves(const PlacedRow& p) {
  const size_t half = p.rotary_dim / 2, half_bytes = half * (kType == KvDtype::kF32 ? 4 : 2);
  EachHead<kType, kStream>(p, half, [half, half_bytes](const float* HWY_RESTRICT row, uint8_t* HWY_RESTRICT to, size_t i,
                                                       RowVec cosines, RowVec sines) HWY_ATTR {
    const RowVec a = hn::LoadU(RowTag(), row), b = hn::LoadU(RowTag(), row + half);
    StoreUpTo<kType, kStream>(hn::NegMulAdd(b, sines, hn::Mul(a, cosines)), half - i, to);
    StoreUpTo<kType, kStream>(hn::MulAdd(a, sines, hn::Mul(b, cosines)), half - i, to + half_bytes);
  });
}

template <KvDtype kType, bool kStream>
HWY_INLINE void PlacePairs(const PlacedRow& p) {
  const size_t rotary = p.rotary_dim;
  EachHead<kType, kStream>(p, rotary, [rotary](const float* HWY_RESTRICT row, uint8_t* HWY_RESTRICT to, size_t i,
                                               RowVec cosines, RowVec sines) HWY_ATTR {
#if HWY_TARGET == HWY_SCALAR  // a vector holds no pair
    const RowVec a = hn::Set(RowTag(), row[0]), other = hn::Set(RowTag(), row[i % 2 == 0 ? 1 : -1]);
#else
    const RowVec a = hn::LoadU(RowTag(), row), other = hn::Shuffle2301(a);
#endif
    StoreUpTo<kType, kStream>(hn::MulAdd(other, sines, hn::Mul(a, cosines)), rotary - i, to);
  });
}

template <KvDtype kType, RopeStyle kStyle, bool kStream>
void PlaceRowAs(const PlacedRow& p) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  if (kStyle == RopeStyle::kNone && p.stride == p.dim * kBytes) {
    return PlacePlain<kType, kStream>(p.row, static_cast<size_t>(p.heads) * p.dim, p.to);
  }
  if constexpr (kStyle == RopeStyle::kNeox) PlaceHalves<kType, kStream>(p);
  if constexpr (kStyle == RopeStyle::kInterleaved) PlacePairs<kType, kStream>(p);
  const size_t turned = kStyle == RopeStyle::kNone ? 0 : p.rotary_dim;
  for (uint32_t head = 0; turned < p.dim && head < p.heads; ++head) {
    PlacePlain<kType, kStream>(p.row + size_t{head} * p.dim + turned, p.dim - turned,
                               p.to + head * p.stride + turned * kBytes);
  }
}

template <KvDtype kType, RopeStyle kStyle>
void PlaceRow(const PlacedRow& p) {
  constexpr size_t kBytes = kType == KvDtype::kF32 ? 4 : 2;
  // Every vector of a row begins at a multiple of 64 bytes if all of these do.
  const uint64_t edges = reinterpret_cast<uintptr_t>(p.to) | p.stride | p.dim / 2 * kBytes | p.rotary_dim / 2 * kBytes;
  if (kCanStream && p.stream && edges % 64 == 0) return PlaceRowAs<kType, kStyle, kCanStream>(p);
  PlaceRowAs<kType, kStyle, false>(p);
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
