// OpenMiniLm of a build with LARDER_MINILM=OFF.
#include "engine/embedder.h"

namespace larder {

absl::StatusOr<std::shared_ptr<Embedder>> OpenMiniLm(const std::string& /*model_dir*/) {
  return absl::FailedPreconditionError(
      "this Larder was built without MiniLM (LARDER_MINILM=OFF): use an http embedder, or give vectors");
}

}  // namespace larder
