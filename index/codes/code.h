// Codes: short forms of vectors that are compared with a query as they are, without decoding.
#ifndef LARDER_INDEX_CODES_CODE_H_
#define LARDER_INDEX_CODES_CODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/vector_index.h"

namespace larder::index {

// Numbers are part of the byte format.
enum class CodeKind : uint8_t {
  kF32 = 0,     // the vector itself
  kF16 = 1,     // IEEE half precision
  kSq8 = 2,     // 8 bits a dimension, one range a vector, after centring and rotation
  kSq4 = 3,     // the same with 4 bits
  kSq4x8 = 4,   // sq4 and 8 bits for what it leaves (Aguerrebere et al., LVQ, arXiv:2304.04759)
  kPq = 5,      // product quantisation, 8 bits a part (Jegou et al., 2011)
  kOpq = 6,     // the same after a learned rotation (Ge et al., 2013)
  kBinary = 7,  // signs after a rotation, residuals binarised again (BEBR, arXiv:2302.08714)
  kRabitq = 8,  // 1 to 8 bits with an error bound (arXiv:2405.12497, 2409.09913)
};

struct CodeOptions {
  CodeKind kind = CodeKind::kSq8;
  uint32_t dimension = 0;
  Metric metric = Metric::kCosine;
  uint32_t bits = 0;   // rabitq: 1 to 8; binary: 1 to 4 rounds; 0 = the code's default
  uint32_t parts = 0;  // pq, opq: parts a vector; 0 = dimension / 4
  uint64_t seed = 42;  // rotations, k-means
  absl::Status Validate() const;
};

// A query prepared for one code: rotated, quantised, tables. Reusable; keeps its memory.
struct CodeQuery {
  std::vector<float> floats;
  std::vector<uint8_t> bytes;
  float scalars[8] = {};
};

// Immutable once trained: thread-safe. Vectors are `dimension` finite floats, normalised under cosine.
class Code {
 public:
  virtual ~Code() = default;
  virtual const CodeOptions& options() const = 0;
  // Bytes of one code. Codes need no alignment; none reads or writes past its bytes.
  virtual size_t bytes() const = 0;

  virtual void Encode(const float* vector, uint8_t* code) const = 0;
  // An approximation of the vector that was encoded.
  virtual void Decode(const uint8_t* code, float* vector) const = 0;

  virtual void Prepare(const float* query, CodeQuery* prepared) const = 0;
  // out[i]: an estimate of the metric's distance (see Neighbor) of the query from codes[i].
  virtual void Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count,
                        float* out) const = 0;
  // The distance lies within Estimate +- ErrorBound for nearly all vectors (each code says how
  // often); infinity where there is no bound.
  virtual float ErrorBound(const CodeQuery& query, const uint8_t* code) const = 0;

  // What Encode and Estimate need: versioned, checksummed by whoever stores it.
  virtual std::string Serialize() const = 0;
};

// `sample`: rows of `dimension` floats to learn centre, ranges, k-means from; how many a code needs
// it says in its header. InvalidArgument if there are too few; FailedPrecondition for pq and opq where the
// program does not link FAISS (larder_pq_training).
absl::StatusOr<std::unique_ptr<Code>> TrainCode(const CodeOptions& options, absl::Span<const float> sample);
// DataLoss if `bytes` is not what Serialize wrote.
absl::StatusOr<std::unique_ptr<Code>> ParseCode(absl::string_view bytes);

// "sq8", "rabitq3", "pq25", ...
std::string CodeName(const CodeOptions& options);
absl::StatusOr<CodeOptions> ParseCodeName(absl::string_view name, uint32_t dimension, Metric metric);

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_CODE_H_
