// The interface of every vector index. An index holds vectors by vid and finds the nearest; it
// knows no documents. It is a cache: the store can always rebuild it.
#ifndef LARDER_INDEX_VECTOR_INDEX_H_
#define LARDER_INDEX_VECTOR_INDEX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/vid_set.h"

namespace larder::index {

using Vid = uint64_t;

// Numbers are part of the snapshot format; the same as larder::Metric.
enum class Metric : uint8_t { kCosine = 0, kDot = 1, kL2 = 2 };
// kTree is made and opened by index/tree, and has no snapshots.
enum class Kind : uint8_t { kFlat = 1, kHnsw = 2, kTree = 3 };

// How an hnsw holds its rows. Numbers are part of the snapshot format.
enum class RowCode : uint8_t {
  kAuto = 0,    // sq4x8 from 64 dimensions on, else f32
  kF32 = 1,     // as they are
  kSq4x8 = 2,   // 12 bits a dimension once there are some thousand rows: walks read 4, ranking all
};

// Smaller is closer: cosine 1 - cos, dot -q.x, l2 |q - x|^2.
struct Neighbor {
  Vid vid = 0;
  float distance = 0;
  friend bool operator<(const Neighbor& a, const Neighbor& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.vid < b.vid;
  }
  friend bool operator==(const Neighbor&, const Neighbor&) = default;
};

struct IndexOptions {
  Kind kind = Kind::kHnsw;
  uint32_t dimension = 0;
  Metric metric = Metric::kCosine;
  uint32_t m = 16;  // hnsw: links per node and layer
  uint32_t ef_construction = 200;
  uint64_t seed = 42;  // hnsw: level generator
  RowCode code = RowCode::kAuto;  // hnsw
  // Searches look at the first so many dimensions first, and at all of what that finds (Matryoshka
  // embeddings, Kusupati et al., arXiv:2205.13147); 0 = at all from the start.
  uint32_t prefix = 0;
  absl::Status Validate() const;
};

struct SearchParams {
  uint32_t k = 10;
  // hnsw: candidate list; raised to k. A flat index with a prefix ranks so many of the nearest by it by whole
  // vectors, and is exact from as many as it has rows; one without is exact always.
  uint32_t ef = 96;
  const VidSet* filter = nullptr;  // only these vids; null = all. Borrowed for the call.
  // hnsw, with a filter: not a walk, but all the vids compared by short codes and the nearest ranked.
  bool scan_filter = false;
};

struct IndexStats {
  uint64_t live = 0, tombstones = 0, resident_bytes = 0;
  RowCode code = RowCode::kF32;  // what the rows are now
  // |Vector(vid) - what was added| is at most so many times the latter's norm.
  float row_error = 1e-6f;
};

// Thread-safe: any number of Search and Score calls run beside Add and Remove.
class VectorIndex {
 public:
  virtual ~VectorIndex() = default;
  virtual const IndexOptions& options() const = 0;

  // `vectors`: vids.size() rows of `dimension` floats, row-major, already validated (finite; not
  // zero under cosine); copied. AlreadyExists for a vid that was ever added (vids are immutable).
  // The rows of one call may be added by several threads of the caller; each call uses one.
  virtual absl::Status Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) = 0;
  // Tombstones; unknown or already removed vids are ignored.
  virtual void Remove(absl::Span<const Vid> vids) = 0;

  // Best first, live only, no duplicates: min(k, matches), but for what is added or removed meanwhile.
  virtual absl::StatusOr<std::vector<Neighbor>> Search(absl::Span<const float> query,
                                                       const SearchParams& params) const = 0;
  // The k best among `candidates` (those that are live here), all of them compared. Distances are exact
  // as far as the rows are.
  virtual absl::StatusOr<std::vector<Neighbor>> Score(absl::Span<const float> query, const VidSet& candidates,
                                                      uint32_t k) const = 0;

  // The vector as the index holds it (normalised under cosine, within row_error); NotFound if not live.
  virtual absl::StatusOr<std::vector<float>> Vector(Vid vid) const = 0;
  virtual bool Contains(Vid vid) const = 0;
  // All live vids.
  virtual VidSet LiveVids() const = 0;

  // A checksummed, versioned snapshot at `path` (written aside, synced, renamed). `tag` travels with
  // it (the engine's commit number and counters). Searches go on; Add and Remove wait.
  virtual absl::Status Save(const std::string& path, absl::string_view tag) const = 0;
  virtual IndexStats Stats() const = 0;
};

absl::StatusOr<std::unique_ptr<VectorIndex>> CreateIndex(const IndexOptions& options);

struct LoadedIndex {
  std::unique_ptr<VectorIndex> index;
  std::string tag;
};
// DataLoss if any byte is damaged or the sizes disagree (never trusts the file), InvalidArgument if
// it was saved with other options, NotFound if absent.
absl::StatusOr<LoadedIndex> LoadIndex(const std::string& path, const IndexOptions& options);

// What is wrong with a vector for this metric, or OK: length, NaN and Inf, zero under cosine, and
// norms that overflow float.
absl::Status CheckVector(absl::Span<const float> vector, uint32_t dimension, Metric metric);

}  // namespace larder::index

#endif  // LARDER_INDEX_VECTOR_INDEX_H_
