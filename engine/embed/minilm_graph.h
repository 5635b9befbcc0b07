// The encoder of all-MiniLM-L6-v2 as an OpenVINO model: BERT (Devlin et al., 2018) with 6 layers,
// hidden size 384 and 12 heads.
#ifndef LARDER_ENGINE_EMBED_MINILM_GRAPH_H_
#define LARDER_ENGINE_EMBED_MINILM_GRAPH_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/safetensors.h"

namespace ov {
class Model;
}  // namespace ov

namespace larder {

inline constexpr uint32_t kMiniLmDimension = 384;
inline constexpr int32_t kMiniLmVocabulary = 30522;
// Of the sentence model, [CLS] and [SEP] counted; the encoder below it could take 512.
inline constexpr uint32_t kMiniLmWindow = 256;

// Inputs: i32[batch, length] token ids; f32[batch, 1, 1, length] added to the attention scores, 0 for
// a token and very negative for padding. Output: f32[batch, length, 384], a row a token; padding's
// rows mean nothing. The graph points into `weights`, which must outlive it and whatever is compiled
// from it. DataLoss if a tensor is missing or has another shape.
absl::StatusOr<std::shared_ptr<ov::Model>> BuildMiniLmGraph(const SafetensorsFile& weights);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_MINILM_GRAPH_H_
