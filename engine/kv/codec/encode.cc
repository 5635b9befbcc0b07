#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/codec/code_writer.h"
#include "engine/kv/codec/codec_kind.h"
#include "engine/kv/codec/payload.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr float kLargest = 1e30f;  // so that ranges and their squares are finite

absl::Status CheckTensor(const KvTensorShape& shape, absl::string_view tensor) {
  RETURN_IF_ERROR(CheckShape(shape));
  if (tensor.size() == shape.Bytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv tensor: ", tensor.size(), " bytes, expected ", shape.Bytes(),
                                                 " = ", shape.tokens, " tokens of ", shape.heads, " heads of ",
                                                 shape.dim));
}

// The tensor in another type, the rotation undone on the way: each token turns back by its position.
absl::Status Convert(const KvTensorShape& shape, absl::string_view tensor, const KvEncoding& encoding, KvDtype dtype,
                     absl::Span<std::byte> out) {
  const KvTarget target = ContiguousTarget(out, dtype, shape.heads, shape.dim);
  if (!encoding.unrotate_from.has_value()) return DecodeKv("raw", KvSide::kKey, shape, tensor, {}, nullptr, target);
  KvRope back = *encoding.rope;
  for (double& frequency : back.frequencies) frequency = -frequency;
  ASSIGN_OR_RETURN(const RopeTable table, RopeTable::At(back, *encoding.unrotate_from, 0, shape.tokens));
  return DecodeKv("raw", KvSide::kKey, shape, tensor, {}, &table, target);
}

absl::StatusOr<std::string> EncodeRaw(const KvTensorShape& shape, absl::string_view tensor,
                                      const KvEncoding& encoding) {
  if (!encoding.unrotate_from.has_value()) return std::string(tensor);
  std::string out(shape.Bytes(), '\0');
  RETURN_IF_ERROR(Convert(shape, tensor, encoding, shape.dtype,
                          absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size())));
  return out;
}

// Half of the last place of a number of magnitude 1, and of the smallest numbers.
struct Rounding {
  double relative, least;
};
Rounding RoundingOf(KvDtype dtype) {
  if (dtype == KvDtype::kF16) return {0x1p-11, 0x1p-25};
  return {dtype == KvDtype::kBf16 ? 0x1p-8 : 0x1p-24, 0};
}

// Errors add up, the rounding between the two included.
void AddLost(const KvErrorBound& lost, KvDtype dtype, const std::vector<float>& values, std::string* payload) {
  if (lost.max_abs == 0 && lost.rms == 0) return;
  double peak = 0, squares = 0;
  for (const float value : values) {
    peak = std::max(peak, std::abs(double{value}));
    squares += double{value} * value;
  }
  const Rounding rounding = RoundingOf(dtype);
  const double mean = std::sqrt(squares / static_cast<double>(values.size()));
  PayloadHeader header;
  std::memcpy(&header, payload->data(), sizeof(header));
  constexpr double kUp = 1 + 0x1p-20;  // sums of floats round, and a bound is a bound
  header.max_abs = static_cast<float>((header.max_abs + lost.max_abs + peak * rounding.relative + rounding.least) * kUp);
  header.rms = static_cast<float>((header.rms + lost.rms + mean * rounding.relative + rounding.least) * kUp);
  std::memcpy(payload->data(), &header, sizeof(header));
}

absl::StatusOr<std::string> EncodeCodes(CodecKind kind, KvSide side, const KvTensorShape& shape,
                                        absl::string_view tensor, const KvEncoding& encoding) {
  std::vector<float> values(shape.Bytes() / shape.ElementBytes());
  RETURN_IF_ERROR(Convert(shape, tensor, encoding, KvDtype::kF32,
                          absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()), values.size() * sizeof(float))));
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) <= kLargest) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("kv encode: number ", i, " is ", values[i], ", expected at most ", kLargest, " in magnitude"));
  }
  std::string payload = WriteCodes(kind, side, shape, values.data(), encoding.saliency);
  AddLost(encoding.lost, shape.dtype, values, &payload);
  return payload;
}

}  // namespace

absl::StatusOr<std::string> EncodeKv(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                     absl::string_view tensor, const KvEncoding& encoding) {
  ASSIGN_OR_RETURN(const CodecKind kind, ParseCodecName(codec));
  RETURN_IF_ERROR(CheckTensor(shape, tensor));
  if (encoding.unrotate_from.has_value() && (encoding.rope == nullptr || side == KvSide::kValue)) {
    return absl::InvalidArgumentError("kv encode: only keys are un-rotated, and only with a rope");
  }
  if (!encoding.saliency.empty() && encoding.saliency.size() != shape.tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv encode: saliency of ", encoding.saliency.size(), " tokens, expected ", shape.tokens));
  }
  try {
    if (kind == CodecKind::kRaw) return EncodeRaw(shape, tensor, encoding);
    return EncodeCodes(kind, side, shape, tensor, encoding);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("kv encode: no memory for ", shape.Bytes(), " bytes"));
  }
}

}  // namespace larder::kv
