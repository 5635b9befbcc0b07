#include "larder/kv_codec_c.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

int Report(const absl::Status& status, char* error, uint64_t error_bytes) {
  if (error != nullptr && error_bytes > 0) {
    const size_t size = std::min<size_t>(status.message().size(), error_bytes - 1);
    std::memcpy(error, status.message().data(), size);
    error[size] = '\0';
  }
  return static_cast<int>(status.code());
}

// Runs `call`, which returns a status; no exception crosses the boundary.
template <class Call>
int Guarded(char* error, uint64_t error_bytes, const Call& call) {
  try {
    return Report(call(), error, error_bytes);
  } catch (const std::bad_alloc&) {
    return static_cast<int>(absl::StatusCode::kResourceExhausted);
  }
}

absl::Status Missing(const char* what) { return absl::InvalidArgumentError(absl::StrCat("kv: ", what, " is null")); }

struct Tensor {
  absl::string_view codec;
  KvSide side;
  KvTensorShape shape;
  absl::string_view bytes;
};

absl::StatusOr<Tensor> TensorOf(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* bytes,
                                uint64_t size) {
  if (codec == nullptr) return Missing("codec");
  if (shape == nullptr) return Missing("shape");
  if (bytes == nullptr) return Missing("tensor or payload");
  if (side > 1 || shape->dtype > 2) {
    return absl::InvalidArgumentError(absl::StrCat("kv: side ", side, ", dtype ", shape->dtype));
  }
  return Tensor{codec, static_cast<KvSide>(side),
                {shape->tokens, shape->heads, shape->dim, static_cast<KvDtype>(shape->dtype)},
                {static_cast<const char*>(bytes), size}};
}

absl::StatusOr<KvRope> RopeOf(const larder_kv_rope& given) {
  if (given.style != 1 && given.style != 2) return absl::InvalidArgumentError(absl::StrCat("kv: style ", given.style));
  if (given.frequencies == nullptr) return Missing("frequencies");
  if (given.rotary_dim > 4096) return absl::InvalidArgumentError(absl::StrCat("kv: rotary_dim ", given.rotary_dim));
  return KvRope{static_cast<RopeStyle>(given.style), given.rotary_dim,
                {given.frequencies, given.frequencies + given.rotary_dim / 2}};
}

absl::Status Encode(const Tensor& tensor, const larder_kv_rope* unrotate, const float* saliency, void* payload,
                    uint64_t* payload_bytes) {
  if (payload_bytes == nullptr) return Missing("payload_bytes");
  KvEncoding encoding;
  KvRope rope;
  if (unrotate != nullptr) {
    if (unrotate->move != 0) return absl::InvalidArgumentError("kv: keys are un-rotated from positions, not by a move");
    ASSIGN_OR_RETURN(rope, RopeOf(*unrotate));
    encoding.rope = &rope, encoding.unrotate_from = unrotate->position;
  }
  if (saliency != nullptr) encoding.saliency = {saliency, tensor.shape.tokens};
  ASSIGN_OR_RETURN(const std::string bytes, EncodeKv(tensor.codec, tensor.side, tensor.shape, tensor.bytes, encoding));
  const uint64_t room = std::exchange(*payload_bytes, bytes.size());
  if (payload == nullptr) return absl::OkStatus();
  if (room < bytes.size()) {
    return absl::OutOfRangeError(absl::StrCat("kv: room for ", room, " bytes, expected ", bytes.size()));
  }
  std::memcpy(payload, bytes.data(), bytes.size());
  return absl::OkStatus();
}

KvSelection SelectionOf(const larder_kv_selection* given) {
  if (given == nullptr) return {};
  return {given->first_token, given->tokens, given->first_head, given->heads,
          {given->token_list, given->token_list == nullptr ? 0 : static_cast<size_t>(given->listed)}};
}

KvTarget TargetOf(const larder_kv_target& given, uint32_t heads, uint32_t dim) {
  KvTarget target = ContiguousTarget({static_cast<std::byte*>(given.data), static_cast<size_t>(given.bytes)},
                                     static_cast<KvDtype>(given.dtype), heads, dim);
  if (given.head_stride != 0) target.head_stride = given.head_stride;
  if (given.token_stride != 0) target.token_stride = given.token_stride;
  target.first_slot = given.first_slot;
  target.block_tokens = given.block_tokens, target.block_stride = given.block_stride;
  if (given.block_table != nullptr) target.block_table = {given.block_table, static_cast<size_t>(given.blocks)};
  return target;
}

absl::Status Decode(const Tensor& tensor, const larder_kv_selection* given, const larder_kv_rope* rope,
                    const larder_kv_target* to) {
  if (to == nullptr || to->data == nullptr) return Missing("target");
  if (to->dtype > 2) return absl::InvalidArgumentError(absl::StrCat("kv: target dtype ", to->dtype));
  const KvSelection selection = SelectionOf(given);
  const uint32_t heads = selection.heads != 0 ? selection.heads : tensor.shape.heads - selection.first_head;
  const KvTarget target = TargetOf(*to, heads, tensor.shape.dim);
  if (rope == nullptr) {
    return DecodeKv(tensor.codec, tensor.side, tensor.shape, tensor.bytes, selection, nullptr, target);
  }
  ASSIGN_OR_RETURN(const KvRope turns, RopeOf(*rope));
  ASSIGN_OR_RETURN(const RopeTable table, rope->move != 0 ? RopeTable::By(turns, rope->position)
                                                          : RopeTable::At(turns, rope->position, 0, tensor.shape.tokens));
  return DecodeKv(tensor.codec, tensor.side, tensor.shape, tensor.bytes, selection, &table, target);
}

}  // namespace
}  // namespace larder::kv

extern "C" {

int larder_kv_encode(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* tensor,
                     uint64_t tensor_bytes, const larder_kv_rope* unrotate, const float* saliency, void* payload,
                     uint64_t* payload_bytes, char* error, uint64_t error_bytes) {
  return larder::kv::Guarded(error, error_bytes, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto given, larder::kv::TensorOf(codec, side, shape, tensor, tensor_bytes));
    return larder::kv::Encode(given, unrotate, saliency, payload, payload_bytes);
  });
}

int larder_kv_decode(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* payload,
                     uint64_t payload_bytes, const larder_kv_selection* selection, const larder_kv_rope* rope,
                     const larder_kv_target* target, char* error, uint64_t error_bytes) {
  return larder::kv::Guarded(error, error_bytes, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto given, larder::kv::TensorOf(codec, side, shape, payload, payload_bytes));
    return larder::kv::Decode(given, selection, rope, target);
  });
}

int larder_kv_payload_error(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* payload,
                            uint64_t payload_bytes, float* max_abs, float* rms, char* error, uint64_t error_bytes) {
  return larder::kv::Guarded(error, error_bytes, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto given, larder::kv::TensorOf(codec, side, shape, payload, payload_bytes));
    if (max_abs == nullptr || rms == nullptr) return larder::kv::Missing("max_abs or rms");
    ASSIGN_OR_RETURN(const auto bound, larder::kv::KvPayloadError(given.codec, given.side, given.shape, given.bytes));
    *max_abs = bound.max_abs, *rms = bound.rms;
    return absl::OkStatus();
  });
}

}  // extern "C"
