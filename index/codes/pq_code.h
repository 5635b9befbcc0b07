// Product quantisation (Jegou, Douze and Schmid, 2011): a vector in `parts` pieces, each the number of the
// nearest of its 256 centroids; opq (Ge et al., 2013) rotates before, by a learned rotation. FAISS trains.
#ifndef LARDER_INDEX_CODES_PQ_CODE_H_
#define LARDER_INDEX_CODES_PQ_CODE_H_

#include <vector>

#include "index/codes/code.h"

namespace larder::index {

// What training finds. A part has ceil(dimension / parts) dimensions, zeros behind the last.
struct PqCodebook {
  std::vector<float> rotation;   // dimension x dimension, row-major; empty: none
  std::vector<float> centroids;  // [part][dimension of the part][256]
};

// Learns from at least 256 rows, better 10,000. ErrorBound is infinite. A code is a byte a part.
class PqCode final : public Code {
 public:
  PqCode(const CodeOptions& options, PqCodebook book);

  const CodeOptions& options() const override { return options_; }
  size_t bytes() const override { return options_.parts; }
  void Encode(const float* vector, uint8_t* code) const override;
  void Decode(const uint8_t* code, float* vector) const override;
  void Prepare(const float* query, CodeQuery* prepared) const override;
  void Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const override;
  float ErrorBound(const CodeQuery& query, const uint8_t* code) const override;
  std::string Serialize() const override;

 private:
  // The vector rotated and padded to whole parts.
  std::vector<float> Enter(const float* vector) const;

  const CodeOptions options_;
  const PqCodebook book_;
  const size_t part_dimension_;
};

inline size_t PqPartDimension(const CodeOptions& options) {
  return (options.dimension + options.parts - 1) / options.parts;
}
// The only code that calls FAISS; null in programs that do not link larder_pq_training, where training is
// FailedPrecondition.
__attribute__((weak)) absl::StatusOr<PqCodebook> TrainPqCodebook(const CodeOptions& options, absl::Span<const float> sample);

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_PQ_CODE_H_
