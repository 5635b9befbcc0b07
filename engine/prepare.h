// From a document as given to what will be written: validated, cut into chunks, embedded. Touches
// neither the store nor an index, so it runs before any lock is taken.
#ifndef LARDER_ENGINE_PREPARE_H_
#define LARDER_ENGINE_PREPARE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/embedder.h"
#include "engine/records.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

struct PreparedDocument {
  const Document* source = nullptr;         // borrowed
  absl::Status status;                      // why it cannot be stored
  std::vector<ChunkRecord> chunks;
  // vectors[s] holds the chunks' vectors of space s, row-major, by ordinal.
  std::vector<std::vector<float>> vectors;
};

// One result a document, in order; a bad one does not stop the others. `embedder` may be null.
std::vector<PreparedDocument> PrepareDocuments(absl::Span<const Document> documents,
                                               const CollectionOptions& options, const Embedder* embedder);

}  // namespace larder

#endif  // LARDER_ENGINE_PREPARE_H_
