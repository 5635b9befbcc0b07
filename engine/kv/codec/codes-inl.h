// Codes into f32; compiled once per target by kv_kernels.cc. A block is 16 bytes: byte i holds, from its lowest
// bits up, columns i, 16 + i, 32 + i, ... of the 16 * 8 / bits that the block covers.
#if defined(LARDER_ENGINE_KV_CODEC_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LARDER_ENGINE_KV_CODEC_CODES_INL_H_
#undef LARDER_ENGINE_KV_CODEC_CODES_INL_H_
#else
#define LARDER_ENGINE_KV_CODEC_CODES_INL_H_
#endif

#include "engine/kv/codec/convert-inl.h"
#include "engine/kv/codec/kv_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace larder::kv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using CodeTag = hn::Rebind<int32_t, RowTag>;

HWY_INLINE hn::Vec<CodeTag> LoadCodes(const uint8_t* HWY_RESTRICT codes) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(CodeTag(), *codes);
#else
  return hn::PromoteTo(CodeTag(), hn::LoadU(hn::Rebind<uint8_t, RowTag>(), codes));
#endif
}

// Calls use(column, code as f32) for every vector of a block.
template <int kBits, class Use>
HWY_INLINE void EachVector(const uint8_t* HWY_RESTRICT block, const Use& use) {
  const RowTag d;
  const size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(CodeTag(), (1 << kBits) - 1);
  for (size_t part = 0; part < kBlockBytes; part += lanes) {
    const auto bytes = LoadCodes(block + part);
    if constexpr (kBits == 8) {
      use(part, hn::ConvertTo(d, bytes));
    } else {
      use(part, hn::ConvertTo(d, hn::And(bytes, mask)));
      if constexpr (kBits == 2) {
        use(16 + part, hn::ConvertTo(d, hn::And(hn::ShiftRight<2>(bytes), mask)));
        use(32 + part, hn::ConvertTo(d, hn::And(hn::ShiftRight<4>(bytes), mask)));
      }
      use(128 / kBits - 16 + part, hn::ConvertTo(d, hn::ShiftRight<8 - kBits>(bytes)));
    }
  }
}

template <int kBits>
void ByColumn(const uint8_t* codes, size_t blocks, const float* scale, const float* zero, float* row) {
  constexpr size_t kColumns = BlockColumns(kBits);
  const RowTag d;
  for (size_t b = 0; b < blocks; ++b) {
    const float* HWY_RESTRICT scales = scale + b * kColumns;
    const float* HWY_RESTRICT zeros = zero + b * kColumns;
    float* HWY_RESTRICT out = row + b * kColumns;
    EachVector<kBits>(codes + b * kBlockBytes, [&](size_t column, RowVec code) HWY_ATTR {
      hn::StoreU(hn::MulAdd(code, hn::LoadU(d, scales + column), hn::LoadU(d, zeros + column)), d, out + column);
    });
  }
}

template <int kBits>
void ByGroup(const GroupRun& run) {
  constexpr size_t kColumns = BlockColumns(kBits);
  const RowTag d;
  const uint8_t* HWY_RESTRICT codes = run.codes;
  const float* HWY_RESTRICT mean = run.mean;
  float* HWY_RESTRICT row = run.row;
  for (size_t head = 0; head < run.heads; ++head) {
    const float step = run.steps[run.groups[2 * head]];
    const float zero = step * (static_cast<float>(run.groups[2 * head + 1]) * run.zero_step);
    const RowVec steps = hn::Set(d, step), zeros = hn::Set(d, zero);
    for (size_t b = 0; b < run.blocks; ++b, codes += kBlockBytes, mean += kColumns, row += kColumns) {
      EachVector<kBits>(codes, [&](size_t column, RowVec code) HWY_ATTR {
        hn::StoreU(hn::MulAdd(code, steps, hn::Add(hn::LoadU(d, mean + column), zeros)), d, row + column);
      });
    }
  }
}

template <int kBits>
KvKernels::Codes CodesOf() {
  return {&ByColumn<kBits>, &ByGroup<kBits>};
}

}  // namespace larder::kv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
