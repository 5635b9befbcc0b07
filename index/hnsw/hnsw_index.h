// The graph index: approximate, some hundred times faster than a scan.
#ifndef LARDER_INDEX_HNSW_HNSW_INDEX_H_
#define LARDER_INDEX_HNSW_HNSW_INDEX_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "index/hnsw/builder.h"
#include "index/hnsw/graph.h"
#include "index/hnsw/page_block.h"
#include "index/hnsw/scratch.h"
#include "index/hnsw/vector_rows.h"
#include "index/hnsw/vid_map.h"
#include "index/snapshot.h"
#include "index/top_k.h"
#include "index/vector_index.h"

namespace larder::index {

// Thread-safe. Searches and insertions share room_mutex_; only growing the memory takes it alone,
// for the time it takes to move page tables, and once in its life turning the rows into codes.
class HnswIndex : public VectorIndex {
 public:
  explicit HnswIndex(const IndexOptions& options);  // validated
  static absl::StatusOr<std::unique_ptr<VectorIndex>> Load(SnapshotReader* reader);

  const IndexOptions& options() const override { return options_; }
  absl::Status Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) override;
  void Remove(absl::Span<const Vid> vids) override;
  absl::StatusOr<std::vector<Neighbor>> Search(absl::Span<const float> query,
                                               const SearchParams& params) const override;
  absl::StatusOr<std::vector<Neighbor>> Score(absl::Span<const float> query, const VidSet& candidates,
                                              uint32_t k) const override;
  absl::StatusOr<std::vector<float>> Vector(Vid vid) const override;
  bool Contains(Vid vid) const override;
  VidSet LiveVids() const override;
  absl::Status Save(const std::string& path, absl::string_view tag) const override;
  IndexStats Stats() const override;

 private:
  // State of an element, a byte each. Live = ready and nothing else.
  static constexpr uint8_t kReady = 1;
  static constexpr uint8_t kRemoved = 2;

  // A span of ids and upper lists that belong to one Add call.
  struct Claim {
    uint32_t id = 0, upper = 0;
  };
  // Makes room for the vids' elements and names them, or none of them if one exists.
  absl::StatusOr<Claim> ClaimIds(absl::Span<const Vid> vids, uint32_t upper_lists)
      ABSL_LOCKS_EXCLUDED(room_mutex_, ids_mutex_);
  absl::Status NameIds(absl::Span<const Vid> vids, uint32_t first) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ids_mutex_);
  absl::Status MakeRoom(size_t elements, size_t upper_lists) ABSL_LOCKS_EXCLUDED(room_mutex_);
  // Stores the row of a placed element and links it. After an error its row and the rest of the call's stay as tombstones.
  absl::Status Link(uint32_t id, const float* vector) ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  // Turns the rows into codes before the first that would make them many.
  absl::Status EncodeBefore(uint32_t id) ABSL_LOCKS_EXCLUDED(room_mutex_);
  void MarkRemoved(uint32_t id) ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);

  std::atomic<uint8_t>& State(uint32_t id) const {
    return reinterpret_cast<std::atomic<uint8_t>*>(states_.data())[id];
  }
  bool IsLive(uint32_t id) const { return State(id).load(std::memory_order_acquire) == kReady; }
  // The element of a live vid, or kNone.
  uint32_t Find(Vid vid) const ABSL_SHARED_LOCKS_REQUIRED(ids_mutex_);

  using Query = VectorRows::Query;
  // For scratch->query.
  std::vector<Neighbor> SearchAll(const SearchParams& params, Scratch* scratch) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  std::vector<Neighbor> SearchFiltered(const SearchParams& params, Scratch* scratch) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  // One walk with a candidate list of `ef`; under a filter after MarkMatches.
  std::vector<Neighbor> Walk(uint32_t k, size_t ef, const VidSet* filter, Scratch* scratch) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  // scratch->matches = the elements of a filter's vids and, of twins, the one that has the links.
  void MarkMatches(const VidSet& filter, Scratch* scratch) const ABSL_SHARED_LOCKS_REQUIRED(room_mutex_)
      ABSL_LOCKS_EXCLUDED(ids_mutex_);
  // The nearest of the filter's elements by the walk's estimates, ranked by the best distances.
  std::vector<Neighbor> ScanMatches(const SearchParams& params, Scratch* scratch) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_) ABSL_LOCKS_EXCLUDED(ids_mutex_);
  // Exact, over all or over `candidates`.
  std::vector<Neighbor> Scan(const Query& query, uint32_t k, const VidSet* filter) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  std::vector<Neighbor> ScoreSet(const Query& query, uint32_t k, const VidSet& candidates) const
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);

  void WriteElements(SnapshotWriter* writer, uint32_t count) const;
  absl::Status ReadCode(SnapshotReader* reader);
  absl::Status ReadArrays(SnapshotReader* reader, uint64_t count, uint64_t upper_lists)
      ABSL_SHARED_LOCKS_REQUIRED(room_mutex_);
  absl::Status NameAll(SnapshotReader* reader, uint32_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ids_mutex_);
  absl::Status ReadStates(SnapshotReader* reader, uint32_t count);
  absl::Status CheckGraph(const SnapshotReader& reader) const ABSL_SHARED_LOCKS_REQUIRED(ids_mutex_);

  static constexpr uint32_t kNone = ~0u;
  const IndexOptions options_;
  // Add and Remove share it; Save holds it alone.
  mutable absl::Mutex writer_mutex_ ABSL_ACQUIRED_BEFORE(room_mutex_);
  mutable absl::Mutex room_mutex_ ABSL_ACQUIRED_BEFORE(ids_mutex_);
  HnswGraph graph_;
  VectorRows rows_;
  HnswBuilder builder_;
  PageBlock states_;
  mutable ScratchPool scratches_;
  std::atomic<uint32_t> count_{0};  // elements claimed
  std::atomic<uint64_t> live_{0}, tombstones_{0};

  mutable absl::Mutex ids_mutex_;
  VidMap id_of_ ABSL_GUARDED_BY(ids_mutex_);
  uint32_t upper_count_ ABSL_GUARDED_BY(ids_mutex_) = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_HNSW_INDEX_H_
