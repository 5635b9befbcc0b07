// Which texts go through the model together.
#ifndef LARDER_ENGINE_EMBED_BATCH_PLAN_H_
#define LARDER_ENGINE_EMBED_BATCH_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace larder {

struct Batch {
  size_t length = 0;         // tokens of each text, padding included
  std::vector<size_t> rows;  // indices of the texts
};

// Lengths are rounded up to a multiple of this. The runtime prepares code for each shape it meets
// and keeps it (about 1.4 MB): without rounding MiniLM came to 600 MB, with it to 90 MB.
inline constexpr size_t kLengthStep = 8;

// Covers every text once, longest first. A batch holds texts of one rounded length only, so that
// how a text is padded, and thereby its vector, never depends on its company. It has a power of two
// of texts and at most `max_tokens` tokens (or is one text), which keeps the shapes few as well.
std::vector<Batch> PlanBatches(absl::Span<const size_t> lengths, size_t max_tokens);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_BATCH_PLAN_H_
