// Embeddings from an OpenAI-compatible service; embedder.h has the interface and OpenHttpEmbedder.
#ifndef LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_
#define LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/embed/retry.h"
#include "engine/embedder.h"

namespace larder {

// `policy.max_attempts` replaces that of the options. The key is read from its environment variable
// here, once; FailedPrecondition if the variable is not set.
absl::StatusOr<std::shared_ptr<Embedder>> OpenHttpEmbedderWith(const HttpEmbedderOptions& options,
                                                               RetryPolicy policy);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_HTTP_EMBEDDER_H_
