// How a KV tensor is kept and how it comes back: K or V of one layer becomes a payload, and a payload
// becomes rows in a caller's pages, rotated to their new positions on the way. A library of its own,
// larder_kv_codec, so that a client needs no engine. Start at EncodeKv and DecodeKv.
//
// Codecs: "raw" keeps the tensor as it is, without a header; "int8", "int4" and "mixed" (4 bits for the
// salient tokens, 2 for the rest) are described in engine/kv/codec/README.md. Thread-safe throughout.
#ifndef LARDER_KV_CODEC_H_
#define LARDER_KV_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "larder/kv_types.h"

namespace larder::kv {

// [token][head][dim], little endian.
struct KvTensorShape {
  uint32_t tokens = 0;  // 1 to 2^20
  uint32_t heads = 0;   // 1 to 1,024
  uint32_t dim = 0;     // 1 to 4,096
  KvDtype dtype = KvDtype::kF16;

  uint64_t ElementBytes() const { return dtype == KvDtype::kF32 ? 4 : 2; }
  uint64_t RowBytes() const { return ElementBytes() * heads * dim; }
  uint64_t Bytes() const { return RowBytes() * tokens; }
  friend bool operator==(const KvTensorShape&, const KvTensorShape&) = default;
};

enum class KvSide : uint8_t { kKey = 0, kValue = 1 };

// The rotary embedding. Element i of a head's first half pairs with i + rotary_dim / 2 (kNeox), or 2i
// with 2i + 1 (kInterleaved); pair i turns by position * frequencies[i]. Elements from rotary_dim on
// stay as they are.
struct KvRope {
  RopeStyle style = RopeStyle::kNone;
  uint32_t rotary_dim = 0;          // even
  std::vector<double> frequencies;  // effective (scaled) inverse frequencies, rotary_dim / 2 of them
};
absl::StatusOr<KvRope> RopeOf(const KvProfile& profile);

// Sines and cosines of tokens at positions, made once and shared by the heads and layers of a read:
// exact to about 1e-7 up to position 2^24, as angles are reduced in double precision. Positions beyond 2^31
// are refused.
class RopeTable {
 public:
  // For K stored before RoPE: token t of an entry goes to `position` + t. Covers the tokens
  // [first_token, first_token + tokens).
  static absl::StatusOr<RopeTable> At(const KvRope& rope, int64_t position, uint32_t first_token, uint32_t tokens);
  // For K stored rotated: every token moves by `distance`.
  static absl::StatusOr<RopeTable> By(const KvRope& rope, int64_t distance);

  RopeStyle style() const { return style_; }
  uint32_t rotary_dim() const { return rotary_dim_; }
  bool Covers(uint32_t token) const { return stride_ == 0 || token - first_token_ < tokens_; }
  // Cosines, then sines, rotary_dim / 2 of each. Interleaved: rotary_dim of each, every cosine twice,
  // every sine as -sin, +sin.
  const float* Row(uint32_t token) const { return table_.data() + stride_ * RowNumber(token); }
  // For a copy elsewhere: rows of stride() floats.
  absl::Span<const float> data() const { return table_; }
  size_t stride() const { return stride_; }
  uint32_t RowNumber(uint32_t token) const { return stride_ == 0 ? 0 : token - first_token_; }

 private:
  static absl::StatusOr<RopeTable> Make(const KvRope& rope, int64_t position, uint32_t first_token, uint32_t tokens);
  RopeStyle style_ = RopeStyle::kNone;
  uint32_t rotary_dim_ = 0, first_token_ = 0, tokens_ = 0;
  size_t stride_ = 0;
  std::vector<float> table_;
};

// What is lost, measured on the very tensor: |decoded - given| before any new rotation and before rounding
// to the target's type. A rotation enlarges max_abs by at most sqrt(2) and rms not at all.
struct KvErrorBound {
  float max_abs = 0;
  float rms = 0;
};

struct KvEncoding {
  // K that was given rotated, with its first token at *unrotate_from, is kept before RoPE.
  const KvRope* rope = nullptr;
  std::optional<int64_t> unrotate_from;
  // "mixed": a number a token, larger for those that deserve more bits. Empty: judged by the tensor itself.
  absl::Span<const float> saliency;
  // The tensor was decoded from a payload that had lost this already: declared together with what is lost
  // now. Not by "raw".
  KvErrorBound lost = {};
};
// InvalidArgument names what does not fit. Not finite: refused, except by "raw".
absl::StatusOr<std::string> EncodeKv(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                     absl::string_view tensor, const KvEncoding& encoding = {});

absl::Status CheckKvCodec(absl::string_view codec);  // InvalidArgument for an unknown name
// DataLoss unless the payload is whole and made for this shape. What DecodeKv does first.
absl::Status CheckKvPayload(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                            absl::string_view payload);
absl::StatusOr<KvErrorBound> KvPayloadError(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                            absl::string_view payload);

// Tokens and heads of an entry. 0 tokens or heads = all from the first.
struct KvSelection {
  uint32_t first_token = 0, tokens = 0;
  uint32_t first_head = 0, heads = 0;
  absl::Span<const uint32_t> token_list;  // if not empty, these instead of the range
};

// Where decoded rows go. The n-th selected token takes slot first_slot + n. Without a block table slot s
// begins at s * token_stride; with one, at block_table[s / block_tokens] * block_stride +
// s % block_tokens * token_stride. Within it the n-th selected head begins at n * head_stride.
struct KvTarget {
  absl::Span<std::byte> data;  // no byte outside is written: InvalidArgument if one would be
  KvDtype dtype = KvDtype::kF16;
  uint64_t token_stride = 0, head_stride = 0;  // bytes
  uint32_t first_slot = 0;
  absl::Span<const uint32_t> block_table;
  uint32_t block_tokens = 0;
  uint64_t block_stride = 0;  // bytes
};

// One pass: dequantise, rotate in f32, round to the target's type, scatter. `rope`: null = as stored.
// Nothing is written unless the payload and all arguments are sound.
absl::Status DecodeKv(absl::string_view codec, KvSide side, const KvTensorShape& shape, absl::string_view payload,
                      const KvSelection& selection, const RopeTable* rope, const KvTarget& target);
// A target that is one tensor of the selected tokens and heads.
KvTarget ContiguousTarget(absl::Span<std::byte> data, KvDtype dtype, uint32_t heads, uint32_t dim);

}  // namespace larder::kv

#endif  // LARDER_KV_CODEC_H_
