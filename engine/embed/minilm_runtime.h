// Runs MiniLM's graph on the CPU, from any number of threads.
#ifndef LARDER_ENGINE_EMBED_MINILM_RUNTIME_H_
#define LARDER_ENGINE_EMBED_MINILM_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/embed/batch_plan.h"
#include "engine/safetensors.h"

namespace larder {

enum class Precision { kF32, kBf16 };

// Thread-safe. One worker thread for each two processors (OpenVINO lends it a second thread), so
// that a single text is quick and many texts keep every processor busy.
class MiniLmRuntime {
 public:
  // Keeps `weights`. bf16 is slower than f32 on processors without instructions for it.
  static absl::StatusOr<std::unique_ptr<MiniLmRuntime>> Create(SafetensorsFile weights, Precision precision);
  virtual ~MiniLmRuntime() = default;

  // Writes the unit vector of texts[r] to vectors[r * 384, ...) for each row r of the batches, and
  // returns when all are done. Concurrent calls take turns batch by batch: a query does not wait
  // for a long ingestion. Internal if the runtime fails.
  virtual absl::Status Run(absl::Span<const std::vector<int32_t>> texts, absl::Span<const Batch> batches,
                           float* vectors) = 0;
};

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_MINILM_RUNTIME_H_
