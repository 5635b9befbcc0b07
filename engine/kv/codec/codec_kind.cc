#include "engine/kv/codec/codec_kind.h"

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint32_t kMaxTokens = 1 << 20, kMaxHeads = 1024, kMaxDim = 4096;
constexpr uint64_t kMaxBytes = uint64_t{1} << 32;

absl::Status CheckField(const char* name, uint32_t value, uint32_t most) {
  if (value >= 1 && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv tensor: ", name, " ", value, ", expected 1 to ", most));
}

constexpr const char* kNames[] = {"raw", "int8", "int4", "mixed"};  // by CodecKind

}  // namespace

const char* CodecName(CodecKind kind) { return kNames[static_cast<size_t>(kind)]; }

absl::StatusOr<CodecKind> ParseCodecName(absl::string_view name) {
  for (CodecKind kind : {CodecKind::kRaw, CodecKind::kInt8, CodecKind::kInt4, CodecKind::kMixed}) {
    if (name == CodecName(kind)) return kind;
  }
  return absl::InvalidArgumentError(absl::StrCat("kv codec \"", name, "\": expected raw, int8, int4 or mixed"));
}

absl::Status CheckKvCodec(absl::string_view codec) { return ParseCodecName(codec).status(); }

absl::Status CheckShape(const KvTensorShape& shape) {
  RETURN_IF_ERROR(CheckField("tokens", shape.tokens, kMaxTokens));
  RETURN_IF_ERROR(CheckField("heads", shape.heads, kMaxHeads));
  RETURN_IF_ERROR(CheckField("dim", shape.dim, kMaxDim));
  if (static_cast<uint8_t>(shape.dtype) > static_cast<uint8_t>(KvDtype::kBf16)) {
    return absl::InvalidArgumentError(absl::StrCat("kv tensor: unknown dtype ", static_cast<int>(shape.dtype)));
  }
  if (shape.Bytes() <= kMaxBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("kv tensor: ", shape.Bytes(), " bytes, expected at most ", kMaxBytes));
}

}  // namespace larder::kv
