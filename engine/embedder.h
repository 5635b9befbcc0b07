// Text in, vectors out.
#ifndef LARDER_ENGINE_EMBEDDER_H_
#define LARDER_ENGINE_EMBEDDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "larder/options.h"

namespace larder {

// Thread-safe.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual uint32_t dimension() const = 0;    // 0 until the first answer of an http embedder
  virtual uint32_t max_tokens() const = 0;   // texts beyond are cut by the model; 0 = unknown
  // Name and what decides its output, e.g. "minilm:sha256=...". A collection remembers it, and
  // refuses an embedder that differs.
  virtual std::string fingerprint() const = 0;
  virtual uint32_t CountTokens(absl::string_view text) const = 0;
  // One row of dimension() floats a text, row-major. Unavailable if a service cannot be reached.
  virtual absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts) const = 0;
};

// Loads all-MiniLM-L6-v2 from `model_dir` (model.safetensors, vocab.txt). NotFound, saying how to
// get it, if it is not there; DataLoss if the weights' SHA-256 is not the known one.
absl::StatusOr<std::shared_ptr<Embedder>> OpenMiniLm(const std::string& model_dir);
// Where OpenMiniLm looks when told nothing: $LARDER_MODEL_DIR, then the build's default.
std::string DefaultModelDir();

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedder(const HttpEmbedderOptions& options);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBEDDER_H_
