// The tree's code: RaBitQ (Gao and Long, arXiv:2405.12497 and 2409.09913) against one of several anchors.
//
// o = R(x - c), c an anchor, becomes levels u of `bits` bits a dimension, o ~ step * u. The query is rotated
// but not centred, so one set of tables serves every anchor:
//
//   distance(q, x) = constant(q, c) + weight * step * <Rq, u> + add, within |weight| * error * |q - c|
//
// An entry in row form, as deltas and the build's spill files hold it: for each bit from the lowest
// BlockGroups(D) / 2 bytes (4 dimensions a nibble, the lower group in the lower half), then step f32,
// add f32, error f16, vid u64, group u32, slot u16, little endian, unaligned.
#ifndef LARDER_INDEX_TREE_POSTING_CODE_H_
#define LARDER_INDEX_TREE_POSTING_CODE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/codes/rotation.h"
#include "index/kernels/bit_codes.h"
#include "index/vector_index.h"

namespace larder::index {

struct PostingCodeOptions {
  uint32_t dimension = 0;
  Metric metric = Metric::kCosine;
  uint32_t bits = 1;  // 1 to 8
  uint64_t seed = 42;
  absl::Status Validate() const;
};

// What is known of an entry besides its code: whose it is, and where the full vector is.
struct EntryPlace {
  Vid vid = 0;
  uint32_t group = 0;  // of vectors (vector_pages.h)
  uint16_t slot = 0;   // in the group
  friend bool operator==(const EntryPlace&, const EntryPlace&) = default;
};

// A query against any number of postings. Reusable; keeps its memory.
struct PostingQuery {
  std::vector<float> plain, rotated;
  std::vector<uint8_t> tables;  // 16 bytes a group
  float weight = 0;
  float dot = 0, base = 0;    // <Rq, u> ~ dot * (sum over bits of 2^bit * table sums) + base
  float rounding = 0;         // standard deviation of what the tables round, for bit 0
};

// Immutable: thread-safe. Vectors are canonical (vector_math.h).
class PostingCode {
 public:
  explicit PostingCode(const PostingCodeOptions& options);

  const PostingCodeOptions& options() const { return options_; }
  size_t groups() const { return groups_; }
  size_t row_bytes() const { return options_.bits * (groups_ / 2) + kTailBytes; }
  size_t block_bytes() const;  // of 32 entries (posting.h)

  void Rotate(const float* vector, float* rotated) const { rotation_.Apply(vector, rotated); }
  // Of rotated vectors. `row`: row_bytes().
  void Encode(const float* rotated, const float* rotated_anchor, const EntryPlace& place, uint8_t* row) const;

  void Prepare(const float* query, PostingQuery* prepared) const;
  struct AnchorTerms {
    float constant = 0, distance = 0;  // distance = |q - c|
  };
  AnchorTerms Against(const PostingQuery& query, const float* anchor) const;
  // Distances of a block's 32 entries.
  void EstimateBlock(const PostingQuery& query, const AnchorTerms& anchor, const uint8_t* block, float* distances) const;
  // The bound of one estimate's error: holds for some 94 of 100.
  float ErrorBound(const PostingQuery& query, const AnchorTerms& anchor, const uint8_t* block, size_t lane) const;

  static constexpr size_t kTailBytes = 4 + 4 + 2 + 8 + 4 + 2;

 private:
  float middle() const { return static_cast<float>((1 << options_.bits) - 1) / 2; }

  const PostingCodeOptions options_;
  const Rotation rotation_;
  const BitKernels kernels_;
  const size_t groups_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_POSTING_CODE_H_
