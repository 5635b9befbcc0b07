#include <new>

#include "absl/strings/str_cat.h"
#include "engine/kv/codec/element.h"
#include "engine/kv/codec/row_reader.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

absl::Status CheckTensor(const KvTensorShape& shape, absl::string_view tensor) {
  RETURN_IF_ERROR(CheckShape(shape));
  if (tensor.size() == shape.Bytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv tensor: ", tensor.size(), " bytes, expected ", shape.Bytes(),
                                                 " = ", shape.tokens, " tokens of ", shape.heads, " heads of ",
                                                 shape.dim));
}

// The rotation is undone in f32: each token turns back by its position. Rounded once, to the tensor's type.
absl::StatusOr<std::string> Unrotate(const KvTensorShape& shape, absl::string_view tensor, const KvRope& rope,
                                     int64_t position) {
  KvRope back = rope;
  for (double& frequency : back.frequencies) frequency = -frequency;
  ASSIGN_OR_RETURN(const RopeTable table, RopeTable::At(back, position, 0, shape.tokens));
  std::string out(shape.Bytes(), '\0');
  const absl::Span<std::byte> bytes(reinterpret_cast<std::byte*>(out.data()), out.size());
  RETURN_IF_ERROR(DecodeKv("raw", KvSide::kKey, shape, tensor, {}, &table,
                           ContiguousTarget(bytes, shape.dtype, shape.heads, shape.dim)));
  return out;
}

}  // namespace

absl::StatusOr<std::string> EncodeKv(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                     absl::string_view tensor, const KvEncoding& encoding) {
  RETURN_IF_ERROR(CheckKvCodec(codec));
  RETURN_IF_ERROR(CheckTensor(shape, tensor));
  if (encoding.unrotate_from.has_value() && (encoding.rope == nullptr || side == KvSide::kValue)) {
    return absl::InvalidArgumentError("kv encode: only keys are un-rotated, and only with a rope");
  }
  try {
    if (!encoding.unrotate_from.has_value()) return std::string(tensor);
    return Unrotate(shape, tensor, *encoding.rope, *encoding.unrotate_from);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("kv encode: no memory for ", shape.Bytes(), " bytes"));
  }
}

absl::Status CheckKvPayload(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                            absl::string_view payload) {
  RETURN_IF_ERROR(CheckKvCodec(codec));
  RETURN_IF_ERROR(CheckShape(shape));
  (void)side;
  if (payload.size() == shape.Bytes()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("kv payload: ", payload.size(), " bytes, expected ", shape.Bytes(), " of codec raw"));
}

absl::StatusOr<KvErrorBound> KvPayloadError(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                            absl::string_view payload) {
  RETURN_IF_ERROR(CheckKvPayload(codec, side, shape, payload));
  return KvErrorBound();
}

}  // namespace larder::kv
