// TreeMaintenance: once enough rows are removed, a walk over all leaves takes their entries out.
//
// Nothing says which leaves hold a vid, so all are read; a leaf that holds none stays as it is. Nodes are visited in
// the order of their ids: whatever moves entries meanwhile leaves out those of removed vids.
#include <algorithm>
#include <utility>

#include "index/tree/tree_maintenance.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr uint64_t kSweepPart = 32;   // of all rows: so many removals are worth a walk
constexpr uint64_t kLeastSwept = 16;
constexpr size_t kLeavesAtOnce = 16;  // that share a sync and a commit

}  // namespace

bool TreeMaintenance::BeginSweep() {
  index_.maintain_mutex_.AssertHeld();
  const uint64_t rows = index_.Stats().rows;
  absl::ReaderMutexLock lock(&index_.mutex_);
  const uint64_t waiting = index_.removed_.size() - index_.swept_.size();
  if (waiting < std::max(kLeastSwept, rows / kSweepPart)) return false;
  TreeSweep sweep;
  sweep.removed = index_.removed_;
  index_.sweep_ = std::move(sweep);
  return true;
}

absl::StatusOr<bool> TreeMaintenance::Sweep() {
  index_.maintain_mutex_.AssertHeld();
  if (!index_.sweep_.has_value() && !BeginSweep()) return false;
  TreeSweep& sweep = *index_.sweep_;
  std::vector<uint32_t> nodes;
  uint32_t end = sweep.next;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    for (; end < index_.postings_.size() && nodes.size() < kLeavesAtOnce; ++end) {
      if (index_.nodes_.IsLeaf(end)) nodes.push_back(end);
    }
  }
  std::vector<Leaf> concerned;
  for (const uint32_t node : nodes) {
    ASSIGN_OR_RETURN(Leaf leaf, ReadLeaf(node, true));
    if (!leaf.dropped.empty()) concerned.push_back(std::move(leaf));
  }
  if (!concerned.empty()) RETURN_IF_ERROR(Fold(concerned));
  sweep.next = end;
  if (!nodes.empty()) return true;
  RETURN_IF_ERROR(EndSweep());
  return true;
}

absl::Status TreeMaintenance::EndSweep() {
  index_.maintain_mutex_.AssertHeld();
  std::vector<Vid> unknown;  // never had an entry
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    // Those may come back with a row of which nothing is known until the tree is opened anew.
    const bool certain = index_.uncertain_groups_.empty();
    index_.sweep_->removed &= index_.removed_;
    index_.sweep_->removed -= index_.swept_;
    index_.sweep_->removed.ForEach([&](Vid vid) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_, index_.maintain_mutex_) {
      const auto found = index_.dropped_.find(vid);
      if (found != index_.dropped_.end()) {
        index_.swept_.Add(vid);
        NoteDead(found->second, 1);
        index_.dropped_.erase(found);
      } else if (certain) {
        unknown.push_back(vid);
      }
      return true;
    });
  }
  index_.sweep_.reset();
  if (unknown.empty()) return absl::OkStatus();
  WriteBatch batch;
  for (const Vid vid : unknown) batch.Delete(Table::kTree, index_.keys_.OfVid('x', vid));
  absl::MutexLock commit(&index_.commit_mutex_);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  for (const Vid vid : unknown) index_.removed_.Remove(vid);
  return absl::OkStatus();
}

void TreeMaintenance::PutDropped(absl::Span<const EntryPlace> dropped, WriteBatch* batch) const {
  for (const EntryPlace& place : dropped) {
    std::string group;
    storage::AppendKey32(place.group, &group);
    batch->Put(Table::kTree, index_.keys_.OfVid('x', place.vid), group);
  }
}

void TreeMaintenance::NoteDropped(absl::Span<const EntryPlace> dropped) {
  index_.maintain_mutex_.AssertHeld();
  for (const EntryPlace& place : dropped) index_.dropped_[place.vid] = place.group;
}

}  // namespace larder::index
