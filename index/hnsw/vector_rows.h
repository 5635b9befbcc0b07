// The vectors of a graph's elements: as they are while there are few, then as codes (sq4x8): a walk
// reads the 4-bit part, a cache line at 100 dimensions; what it finds is ranked by all 12 bits.
//
// With IndexOptions::prefix a walk reads 4 bits of each of the first dimensions only (of length one again under
// cosine), and what it finds is ranked by the whole vector, coded or f32.
#ifndef LARDER_INDEX_HNSW_VECTOR_ROWS_H_
#define LARDER_INDEX_HNSW_VECTOR_ROWS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "index/codes/scalar_code.h"
#include "index/hnsw/page_block.h"
#include "index/hnsw/prefetch.h"
#include "index/kernels/distance.h"
#include "index/vector_index.h"

namespace larder::index {

// Coded from so many rows on, which are also what the code is trained on.
inline constexpr uint32_t kFirstCoded = 4096;
// See IndexStats::row_error. 12 bits over some six standard deviations give 5e-4 of the centred row.
inline constexpr float kCodedRowError = 3e-3f;

// Threads: Put for different ids and all const methods run together; Grow and Encode run alone.
class VectorRows {
 public:
  // A query as the rows want it. Reusable.
  struct Query {
    const float* vector = nullptr;  // borrowed
    CodeQuery code, prefix;
    float offset = 0;  // added to any distance from it, that is not negative
  };

  explicit VectorRows(const IndexOptions& options);
  absl::Status Grow(size_t rows);
  // Whether walks read codes, and their estimates want ranking by Distances.
  bool coded() const { return walk_code_ != nullptr; }
  RowCode ranked_by() const { return code_ != nullptr ? RowCode::kSq4x8 : RowCode::kF32; }
  // Whether the rows should be codes once they are kFirstCoded, and are not.
  bool WantsCode() const { return (codable_ || prefix_ > 0) && !coded(); }
  // Trains on the first kFirstCoded of `count` rows and turns all into codes.
  absl::Status Encode(uint32_t count);

  void Put(uint32_t id, const float* vector);
  void Prepare(const float* vector, Query* query) const;

  // What walks read: rows of walk_bytes(), prefetched long before they are compared.
  const uint8_t* WalkRow(uint32_t id) const { return reinterpret_cast<uint8_t*>(walk_.data()) + id * walk_bytes_; }
  void Prefetch(const uint8_t* row) const { PrefetchLines(row, prefetch_bytes_); }
  void Estimate(const Query& query, const uint8_t* const* rows, size_t count, float* out) const;

  // The best distances these rows can give; equal to Estimate's while they are not coded.
  void Distances(const Query& query, const uint32_t* ids, size_t count, float* out) const;

  // A vector for `kernels`, `plain_floats()` long, between any two of which they give the metric's
  // distance: the row itself, or decoded into `buffer`.
  size_t plain_floats() const { return code_ != nullptr ? code_->places() : dimension_; }
  const float* Plain(uint32_t id, float* buffer) const;
  const DistanceKernels& kernels() const { return kernels_; }

  void Decode(uint32_t id, float* vector) const;
  bool Same(uint32_t a, uint32_t b) const;  // the same bits
  uint64_t bytes_per_row() const { return walk_bytes_ + residual_bytes_; }

  // For snapshots: what Encode learned ("" if not coded), and the rows' memory.
  std::string Serialize() const;
  absl::Status Parse(absl::string_view bytes);
  // DataLoss if one of the first `count` rows, read from a file, gives distances that are no numbers.
  absl::Status CheckRows(uint32_t count) const;
  const PageBlock& walk_block() const { return walk_; }
  const PageBlock& residual_block() const { return residuals_; }
  size_t walk_bytes() const { return walk_bytes_; }
  size_t residual_bytes() const { return residual_bytes_; }

 private:
  using SharedCode = std::shared_ptr<const ScalarCode>;
  bool has_prefix() const { return coded() && prefix_ > 0; }
  absl::StatusOr<SharedCode> Train(CodeKind kind, size_t dimension, const float* rows, size_t count) const;
  // `code` is null where rows are ranked by f32, `prefix` where there is none.
  void UseCodes(SharedCode code, SharedCode prefix);
  absl::StatusOr<SharedCode> ParseCodeOf(CodeKind kind, size_t dimension, absl::string_view bytes) const;
  // What the prefix's code sees of a vector.
  void CopyPrefix(const float* vector, float* prefix) const;
  void EncodeRow(const float* vector, uint8_t* walk_row, uint8_t* residual) const;
  uint8_t* Residual(uint32_t id) const {
    return reinterpret_cast<uint8_t*>(residuals_.data()) + id * residual_bytes_;
  }
  const float* F32(uint32_t id) const {
    return reinterpret_cast<const float*>(has_prefix() ? Residual(id) : WalkRow(id));
  }
  // The two parts of the code of the whole vector.
  const uint8_t* CodeOf(uint32_t id) const { return has_prefix() ? Residual(id) : WalkRow(id); }
  const uint8_t* CodeResidual(uint32_t id) const {
    return Residual(id) + (has_prefix() ? code_->prefix_bytes() : 0);
  }

  const Metric metric_;
  const size_t dimension_, prefix_;
  const bool codable_;
  const DistanceKernels kernels_;
  SharedCode code_;       // of whole vectors; null: f32
  SharedCode walk_code_;  // what walks read: code_, or of the prefix; null before Encode
  size_t walk_bytes_, residual_bytes_ = 0, prefetch_bytes_;  // residual: what walks do not read
  std::atomic<float> longest_{0};  // norm of any row, under dot
  PageBlock walk_, residuals_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_VECTOR_ROWS_H_
