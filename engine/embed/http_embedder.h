// Embeds through an OpenAI-compatible POST /v1/embeddings.
#ifndef LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_
#define LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/embedder.h"

namespace larder {

// Injectable, so that tests need not wait.
using Sleeper = std::function<void(absl::Duration)>;

absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedderWith(const HttpEmbedderOptions& options, Sleeper sleep);

// The request for these texts, and the rows of an answer: `count` rows of equal dimension, row-major,
// in the order asked. InvalidArgument if the body is anything else.
std::string EmbeddingsRequest(const std::string& model, absl::Span<const std::string> texts);
struct EmbeddingRows {
  size_t dimension = 0;
  std::vector<float> values;
};
absl::StatusOr<EmbeddingRows> ParseEmbeddings(absl::string_view body, size_t count);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_
