// The bodies of an OpenAI-compatible POST /v1/embeddings.
#ifndef LARDER_ENGINE_EMBED_EMBEDDINGS_JSON_H_
#define LARDER_ENGINE_EMBED_EMBEDDINGS_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace larder {

// Bytes that are not UTF-8 are sent as U+FFFD.
std::string EmbeddingsRequest(absl::string_view model, absl::Span<const std::string> texts);

struct Embeddings {
  uint32_t dimension = 0;
  std::vector<float> rows;  // row-major, in the order of the request
};

// FailedPrecondition, naming the fault, unless the reply has exactly `count` rows (each index once,
// in any order; without indices, in the request's order) of one dimension and finite values.
absl::StatusOr<Embeddings> ParseEmbeddings(absl::string_view body, size_t count);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_EMBEDDINGS_JSON_H_
