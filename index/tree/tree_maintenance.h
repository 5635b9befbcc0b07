// One piece of a tree's background work. Everything is prepared outside the locks of searches and inserts, made
// durable by one commit, and then published.
#ifndef LARDER_INDEX_TREE_TREE_MAINTENANCE_H_
#define LARDER_INDEX_TREE_TREE_MAINTENANCE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/tree/kmeans.h"
#include "index/tree/posting.h"
#include "index/tree/tree_index.h"

namespace larder::index {

// Used under the index's maintain_mutex_.
class TreeMaintenance {
 public:
  explicit TreeMaintenance(TreeIndex* index) : index_(*index) {}
  // What most needs doing; false if there is nothing.
  absl::StatusOr<bool> Step();
  // After a step that failed: what no commit names is given back.
  void ForgetAppended();

 private:
  // A leaf as it was when work on it began.
  struct Leaf {
    uint32_t node = 0, anchor = 0;
    CountedPointer posting;
    std::vector<uint64_t> sequences;  // of its delta
    std::vector<uint8_t> rows;        // live entries in row form, each vid once: posting, then delta
    size_t count = 0;
    std::vector<EntryPlace> dropped;  // of removed vids
  };

  // tree_maintain.cc
  absl::StatusOr<storage::ExtentPointer> Append(absl::string_view payload);
  absl::Status Commit(storage::WriteBatch batch);
  absl::StatusOr<bool> Urgent();
  absl::Status SealGroup(uint32_t group);
  // Deltas by size and node.
  absl::Status FoldOrSplit(absl::Span<const std::pair<size_t, uint32_t>> full);
  absl::StatusOr<Leaf> ReadLeaf(uint32_t node, bool with_delta) const;
  absl::Status Fold(absl::Span<const Leaf> leaves);
  // Of a leaf that may have lost entries.
  void NoteShrunk(uint32_t node, size_t count, size_t lost);
  absl::StatusOr<bool> Split(const Leaf& leaf);
  absl::Status CommitSplit(const Leaf& leaf, const Clusters& halves);
  absl::StatusOr<CountedPointer> WritePosting(uint32_t anchor, const std::vector<uint8_t>& rows);
  void PutPosting(uint32_t node, const CountedPointer& from, const CountedPointer& to, storage::WriteBatch* batch) const;
  // The nearer of two centroids for each row, by its code.
  std::vector<uint32_t> NearerByCode(uint32_t anchor, const std::vector<uint8_t>& rows, const Clusters& halves) const;
  // Full vectors of entries, row-major.
  absl::StatusOr<std::vector<float>> Vectors(const std::vector<EntryPlace>& places) const;
  EntryPlace PlaceAt(const std::vector<uint8_t>& rows, size_t i) const {
    return PlaceOfRow(index_.code_, &rows[i * index_.code_.row_bytes()]);
  }

  // tree_reassign.cc
  struct Reassignment;
  absl::Status Reassign(uint32_t node);
  absl::Status ReassignFrom(uint32_t source, Reassignment* job);
  std::vector<float> Closeness(uint32_t anchor, const std::vector<uint8_t>& rows, const float* centroid) const;

  // tree_merge.cc
  struct Dissolution;
  absl::StatusOr<bool> Merge();
  absl::StatusOr<bool> Dissolve(uint32_t node);
  absl::Status Rehome(const Leaf& leaf, Dissolution* plan);
  absl::StatusOr<bool> CommitDissolution(const Leaf& leaf, const Dissolution& plan);

  // tree_sweep.cc
  absl::StatusOr<bool> Sweep();
  bool BeginSweep();
  absl::Status EndSweep();
  // With the commit that rewrites the leaf; and when it is done.
  void PutDropped(absl::Span<const EntryPlace> dropped, storage::WriteBatch* batch) const;
  void NoteDropped(absl::Span<const EntryPlace> dropped);

  // tree_purge.cc
  struct Rewritten;
  absl::StatusOr<bool> Purge();
  absl::StatusOr<Rewritten> Rewrite(uint32_t group);
  absl::Status CommitRewritten(absl::Span<const Rewritten> groups);
  // More rows of a group are dead; or it is full now.
  void NoteDead(uint32_t group, uint32_t more) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_);

  TreeIndex& index_;
  std::vector<storage::ExtentPointer> appended_;  // since the last commit
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_MAINTENANCE_H_
