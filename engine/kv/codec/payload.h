// The bytes of a payload that is not raw: a header of 64 bytes, then sections whose places follow from the
// header's counts alone (README.md shows them). Version 1.
#ifndef LARDER_ENGINE_KV_CODEC_PAYLOAD_H_
#define LARDER_ENGINE_KV_CODEC_PAYLOAD_H_

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/kv/codec/codec_kind.h"
#include "engine/kv/codec/kv_kernels.h"
#include "larder/kv_codec.h"

namespace larder::kv {

inline constexpr uint32_t kPayloadMagic = 0x43564B4C;  // "LKVC"
inline constexpr uint8_t kPayloadVersion = 1;
inline constexpr uint64_t kSectionBytes = 16;          // sections begin at a multiple
inline constexpr uint32_t kStripeColumns = 256;        // an outlier's column is a byte within its stripe

// As it lies on disk, little endian.
struct PayloadHeader {
  uint32_t magic = kPayloadMagic;
  uint8_t version = kPayloadVersion;
  uint8_t codec = 0, side = 0, dtype = 0;
  uint32_t tokens = 0, heads = 0, dim = 0;
  uint32_t exact_tokens = 0;  // the first ones, kept as elements
  uint32_t wide_tokens = 0;   // of the rest, those with 8 or 4 bits a number; the others have 2
  uint32_t outliers = 0;
  float max_abs = 0, rms = 0;
  float column_unit = 0;   // of ColumnCode
  float group_unit = 0;    // values: the largest step of a GroupCode
  uint8_t reserved[16] = {};
};
static_assert(sizeof(PayloadHeader) == 64);

// A column of keys, both f16 times column_unit: number = zero + scale * code.
struct ColumnCode {
  uint16_t scale = 0, zero = 0;
};
// One head of one token of values: number = mean + step * (code - zero * ZeroStep), where the column's mean is
// f16 times column_unit and step = group_unit * 2^(-(255 - step) / 16).
struct GroupCode {
  uint8_t step = 0, zero = 0;
};
// The range of codes in 255ths.
constexpr float ZeroStep(int bits) { return static_cast<float>((1 << bits) - 1) / 255; }
// A step of 2 bits over one of 4, in a column of keys; both are centred alike.
inline constexpr float kNarrowStep = 2.75f;

// Where each section begins and what a row of it weighs.
struct PayloadLayout {
  explicit PayloadLayout(const PayloadHeader& header);

  CodecKind kind;
  uint64_t columns;          // heads * dim
  uint32_t coded_tokens;     // all but the exact ones
  int wide_bits;             // 8 or 4
  uint64_t wide_row_bytes, narrow_row_bytes;
  uint32_t stripes;
  // In order. columns_at: keys, a ColumnCode a column; values, a mean a column. groups: values, a GroupCode a
  // (coded token, head). classes: mixed, a bit a coded token, set = wide. counts: a byte a (coded token,
  // stripe). places: a byte an outlier. values: an element an outlier, in the order of tokens.
  uint64_t exact, columns_at, groups, classes, wide, narrow, counts, places, values, end;
};

inline uint64_t CodeRowBytes(uint64_t columns, int bits) {
  return (columns + BlockColumns(bits) - 1) / BlockColumns(bits) * kBlockBytes;
}

// The header of a payload made for this codec, side and shape; DataLoss for anything else, and for a size,
// count or number that does not fit.
absl::StatusOr<PayloadHeader> ParsePayload(CodecKind kind, KvSide side, const KvTensorShape& shape,
                                           absl::string_view payload);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_PAYLOAD_H_
