// all-MiniLM-L6-v2 in process; embedder.h has the interface and OpenMiniLm.
#ifndef LARDER_ENGINE_EMBED_MINILM_H_
#define LARDER_ENGINE_EMBED_MINILM_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/embed/minilm_runtime.h"
#include "engine/embedder.h"

namespace larder {

// bf16 where the processor has instructions for it (twice as fast; cosine to f32 at least 0.9999 on
// the reference texts), else f32. $LARDER_MINILM_PRECISION ("f32", "bf16", "auto") overrides, for
// vectors that agree to the last bits between unlike machines.
absl::StatusOr<Precision> ChooseMiniLmPrecision();

absl::StatusOr<std::shared_ptr<Embedder>> OpenMiniLmWith(const std::string& model_dir, Precision precision);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_MINILM_H_
