// TreeMaintenance: once enough rows are removed, a walk over all leaves takes their entries out.
//
// Nothing says which leaves hold a vid, so all are read; a leaf that holds none stays as it is.
#include <algorithm>
#include <utility>

#include "index/tree/tree_maintenance.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

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
  index_.sweep_.emplace();
  index_.sweep_->removed = index_.removed_;
  return true;
}

absl::StatusOr<bool> TreeMaintenance::Sweep() {
  index_.maintain_mutex_.AssertHeld();
  if (!index_.sweep_.has_value() && !BeginSweep()) return false;
  TreeIndex::Sweep& sweep = *index_.sweep_;
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
  index_.swept_ = std::move(sweep.removed);
  index_.sweep_.reset();
  return true;
}

}  // namespace larder::index
