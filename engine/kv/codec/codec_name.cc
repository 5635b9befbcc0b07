#include "absl/strings/str_cat.h"
#include "engine/kv/codec/row_reader.h"

namespace larder::kv {
namespace {

constexpr uint32_t kMaxTokens = 1 << 20, kMaxHeads = 1024, kMaxDim = 4096;
constexpr uint64_t kMaxBytes = uint64_t{1} << 32;

absl::Status CheckField(const char* name, uint32_t value, uint32_t most) {
  if (value >= 1 && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv tensor: ", name, " ", value, ", expected 1 to ", most));
}

}  // namespace

absl::StatusOr<CodecKind> ParseCodecName(absl::string_view name) {
  if (name == "raw") return CodecKind::kRaw;
  return absl::InvalidArgumentError(absl::StrCat("kv codec \"", name, "\": expected raw, int8, int4 or mixed"));
}

absl::Status CheckKvCodec(absl::string_view codec) { return ParseCodecName(codec).status(); }

absl::Status CheckShape(const KvTensorShape& shape) {
  if (absl::Status status = CheckField("tokens", shape.tokens, kMaxTokens); !status.ok()) return status;
  if (absl::Status status = CheckField("heads", shape.heads, kMaxHeads); !status.ok()) return status;
  if (absl::Status status = CheckField("dim", shape.dim, kMaxDim); !status.ok()) return status;
  if (static_cast<uint8_t>(shape.dtype) > static_cast<uint8_t>(KvDtype::kBf16)) {
    return absl::InvalidArgumentError(absl::StrCat("kv tensor: unknown dtype ", static_cast<int>(shape.dtype)));
  }
  if (shape.Bytes() <= kMaxBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("kv tensor: ", shape.Bytes(), " bytes, expected at most ", kMaxBytes));
}

}  // namespace larder::kv
