// Makes int8, int4 and mixed payloads.
#ifndef LARDER_ENGINE_KV_CODEC_CODE_WRITER_H_
#define LARDER_ENGINE_KV_CODEC_CODE_WRITER_H_

#include <string>

#include "absl/types/span.h"
#include "engine/kv/codec/codec_kind.h"
#include "larder/kv_codec.h"

namespace larder::kv {

// `values`: shape.tokens * heads * dim finite numbers, which shape.dtype can hold. `saliency`: empty or one a
// token. May throw std::bad_alloc.
std::string WriteCodes(CodecKind kind, KvSide side, const KvTensorShape& shape, const float* values,
                       absl::Span<const float> saliency);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_CODE_WRITER_H_
