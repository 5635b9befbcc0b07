// The codecs by number, and what may be encoded.
#ifndef LARDER_ENGINE_KV_CODEC_CODEC_KIND_H_
#define LARDER_ENGINE_KV_CODEC_CODEC_KIND_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/kv_codec.h"

namespace larder::kv {

enum class CodecKind : uint8_t { kRaw = 0, kInt8 = 1, kInt4 = 2, kMixed = 3 };  // as in payloads
absl::StatusOr<CodecKind> ParseCodecName(absl::string_view name);
const char* CodecName(CodecKind kind);
// InvalidArgument for what no tensor has.
absl::Status CheckShape(const KvTensorShape& shape);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_CODEC_KIND_H_
