// A disk index: a tree of quantised centroids in memory, codes in postings and full vectors in pages on disk.
//
// A search reads in two dependent rounds: all its postings at once, each scored while the others are still on
// their way, then the pages of the candidates that may be among the k nearest, which are ranked exactly.
//
// It changes in place (after SPFresh, Xu et al., SOSP 2023). An inserted row is one commit: the vector waits in a
// group that is not full, its codes in the deltas of its leaves, on disk and in memory, so that the next search finds
// it. Maintain folds a delta into its posting once it fills a block, splits a leaf that has overflowed, moves
// entries that a split has left behind, takes what was removed out of postings and dissolves leaves that are nearly
// empty then; each is one commit, prepared outside all locks.
#ifndef LARDER_INDEX_TREE_TREE_INDEX_H_
#define LARDER_INDEX_TREE_TREE_INDEX_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/tree/posting_code.h"
#include "index/tree/tree_changes.h"
#include "index/tree/tree_nodes.h"
#include "index/tree/tree_rows.h"
#include "index/tree/tree_types.h"
#include "index/tree/vector_group.h"
#include "index/tree/vector_pages.h"
#include "index/vector_index.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder::index {

// Thread-safe.
class TreeIndex {
 public:
  // NotFound if the space has no tree (or an unfinished one), DataLoss if its rows make none. Store and extents must
  // outlive it.
  static absl::StatusOr<std::unique_ptr<TreeIndex>> Open(storage::Store* store, storage::ExtentStore* extents,
                                                         uint32_t space);

  // InvalidArgument for a query or k that cannot be.
  absl::StatusOr<TreeReply> Search(absl::Span<const float> query, const TreeSearchParams& params) const;

  // Durable and found when it returns. `vectors`: vids.size() rows, valid for the metric (InvalidArgument); vids
  // that were never in the tree (not checked). All or none.
  absl::Status Insert(absl::Span<const Vid> vids, absl::Span<const float> vectors);
  // Durable, and found no more. Unknown vids are harmless.
  absl::Status Remove(absl::Span<const Vid> vids);
  // Both as part of a larger commit: `commit` is called once with the rows, writes them together with the caller's
  // own (or fails), and must not call this tree. All is found, and found no more, when this returns.
  using Commit = absl::FunctionRef<absl::Status(storage::WriteBatch)>;
  absl::Status Change(absl::Span<const Vid> vids, absl::Span<const float> vectors, absl::Span<const Vid> gone,
                      Commit commit);
  // Does one piece of background work, if there is any: false when there was none. Runs beside everything; a
  // second call waits.
  absl::StatusOr<bool> Maintain();

  // For ExtentStore::CollectGarbage: owners in kTree of this space.
  absl::StatusOr<bool> Relocate(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                const storage::ExtentPointer& to, storage::WriteBatch* batch);

  // Reads all that the tree has on disk, its rows anew, and holds it against each other: each row that was not
  // removed has an entry, each entry its row. Appends what is wrong; returns how many rows are sound. Background
  // work waits; memory holds all rows' vids.
  absl::StatusOr<uint64_t> Verify(std::vector<std::string>* problems);

  const TreeHeader& header() const { return header_; }
  TreeStats Stats() const;

  // Learns `header().rules` from rows, each left out of its own answer, and stores them. Not beside Search.
  absl::Status Measure(uint32_t queries, int threads);

 private:
  friend class TreeSearch;
  friend class TreeMeasure;
  friend class TreeMaintenance;
  friend class TreeVerify;
  // Vectors of a group that is not full, in row form.
  using OpenGroup = std::vector<std::string>;
  using Delta = TreeDelta;
  using Arrival = TreeArrival;
  using Entry = TreeEntry;
  using PackedDeltas = std::vector<std::pair<uint32_t, std::shared_ptr<const std::string>>>;
  using Placed = PlacedRows;

  TreeIndex(storage::Store* store, storage::ExtentStore* extents, TreeHeader header, std::unique_ptr<Code> centroid_code);
  // tree_index.cc
  absl::Status Load() ABSL_LOCKS_EXCLUDED(maintain_mutex_, mutex_);
  absl::Status LoadNodes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadPointers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadChanges() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadRemoved() ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintain_mutex_, mutex_);
  absl::StatusOr<FoundRow> FindRow(const EntryPlace& place) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  ProbeRule RuleFor(const TreeSearchParams& params) const;
  absl::Span<const float> anchor(uint32_t id) const {
    return {&anchors_[size_t{id} * header_.options.dimension], header_.options.dimension};
  }

  static constexpr uint32_t kGroupRows = 512;  // of a group of inserted rows

  // tree_update.cc
  // `without`: a leaf that is about to go.
  void ChooseHomes(Arrival* arrival, uint32_t without = TreeNodes::kRoot) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::vector<uint8_t> EntryFor(const Arrival& arrival, uint32_t node, const EntryPlace& place) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void EncodeFor(Arrival* arrival) const;
  // What the deltas will be with these behind them.
  PackedDeltas PackBehind(const std::vector<Entry>& entries) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void PutDelta(uint32_t node, const std::vector<uint8_t>& row, storage::WriteBatch* batch, uint64_t sequence) const;
  void PublishDelta(uint32_t node, uint64_t sequence, const std::vector<uint8_t>& row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Repack(uint32_t node, Delta* delta) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<Arrival>> Arrivals(absl::Span<const Vid> vids, absl::Span<const float> vectors) const;
  void Place(std::vector<Arrival>* arrivals, Placed* placed, storage::WriteBatch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_, mutex_);
  void SetAside(const Placed& placed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish(Placed placed, const PackedDeltas& packed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutIds(size_t nodes, size_t groups, storage::WriteBatch* batch) const;

  storage::Store* const store_;
  storage::ExtentStore* const extents_;
  const TreeKeys keys_;
  TreeHeader header_;  // changes in Measure only
  const PostingCode code_;
  const VectorPages pages_;
  const std::unique_ptr<Code> centroid_code_;
  std::vector<float> anchors_, rotated_anchors_;  // never change

  absl::Mutex maintain_mutex_;  // held for a piece of background work
  absl::flat_hash_map<uint32_t, uint64_t> unsplittable_ ABSL_GUARDED_BY(maintain_mutex_);  // entries when it was tried
  std::set<uint32_t> shrunken_ ABSL_GUARDED_BY(maintain_mutex_);  // leaves that lost entries and have few
  std::optional<TreeSweep> sweep_ ABSL_GUARDED_BY(maintain_mutex_);
  // Removals on their way out. Entries that leave a leaf say which group the row is in; when a walk has passed all
  // leaves there are no more of them; when the row has left its group, the removal is forgotten.
  absl::flat_hash_map<Vid, uint32_t> dropped_ ABSL_GUARDED_BY(maintain_mutex_);  // group
  std::map<uint32_t, uint32_t> dead_ ABSL_GUARDED_BY(maintain_mutex_);           // of swept_, by group
  std::set<uint32_t> ripe_ ABSL_GUARDED_BY(maintain_mutex_);                     // groups to be rewritten
  VidSet swept_ ABSL_GUARDED_BY(maintain_mutex_);  // of removed_: those that have no entry any more
  uint64_t pieces_ ABSL_GUARDED_BY(maintain_mutex_) = 0;          // of work, so far
  absl::Mutex commit_mutex_ ABSL_ACQUIRED_AFTER(maintain_mutex_);  // for a commit and its publishing
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(commit_mutex_);   // never while waiting for a disk
  TreeNodes nodes_ ABSL_GUARDED_BY(mutex_);
  std::vector<CountedPointer> postings_ ABSL_GUARDED_BY(mutex_);  // by node; count 0: none
  std::vector<VectorGroup> groups_ ABSL_GUARDED_BY(mutex_);       // by group
  absl::flat_hash_map<uint32_t, Delta> deltas_ ABSL_GUARDED_BY(mutex_);     // by node
  std::map<uint32_t, OpenGroup> open_groups_ ABSL_GUARDED_BY(mutex_);       // the last takes new rows
  std::set<uint32_t> uncertain_groups_ ABSL_GUARDED_BY(mutex_);  // of failed commits; open until the tree is opened anew
  std::set<uint32_t> splits_ ABSL_GUARDED_BY(mutex_);                       // rows 'j'
  VidSet removed_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_INDEX_H_
