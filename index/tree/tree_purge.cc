// TreeMaintenance: removed rows leave their group, and with them the removal is forgotten.
//
// Only rows that no leaf has an entry of (tree_sweep.cc). A search that is on its way may still hold such an entry:
// it finds that the row has left, and leaves it out.
#include <utility>

#include "index/tree/tree_maintenance.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr uint32_t kDeadPart = 8;     // of a group's rows: so many dead ones are worth rewriting it
constexpr size_t kGroupsAtOnce = 16;  // that share a sync and a commit

}  // namespace

struct TreeMaintenance::Rewritten {
  uint32_t group = 0;
  VectorGroup before, after;
  std::vector<Vid> gone;
};

void TreeMaintenance::NoteDead(uint32_t group, uint32_t more) {
  index_.maintain_mutex_.AssertHeld();
  const auto found = more > 0 ? index_.dead_.try_emplace(group, 0).first : index_.dead_.find(group);
  if (found == index_.dead_.end()) return;
  found->second += more;
  const uint32_t rows = index_.groups_[group].rows;  // 0: not full yet
  if (rows > 0 && found->second * kDeadPart >= rows) index_.ripe_.insert(group);
}

absl::StatusOr<bool> TreeMaintenance::Purge() {
  index_.maintain_mutex_.AssertHeld();
  std::vector<Rewritten> groups;
  for (const uint32_t group : index_.ripe_) {
    if (groups.size() == kGroupsAtOnce) break;
    ASSIGN_OR_RETURN(groups.emplace_back(), Rewrite(group));
  }
  if (groups.empty()) return false;
  RETURN_IF_ERROR(index_.extents_->Sync());
  RETURN_IF_ERROR(CommitRewritten(groups));
  return true;
}

absl::StatusOr<TreeMaintenance::Rewritten> TreeMaintenance::Rewrite(uint32_t group) {
  index_.maintain_mutex_.AssertHeld();
  const size_t n = index_.header_.options.dimension;
  Rewritten result;
  result.group = group;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    result.before = index_.groups_[group];
  }
  const absl::StatusOr<std::string> bytes = std::move(index_.extents_->Read({&result.before.pointer, 1})[0]);
  RETURN_IF_ERROR(bytes.status());
  const std::vector<uint32_t> slots = result.before.Slots();
  std::vector<uint32_t> kept;
  std::vector<Vid> vids;
  std::vector<float> vectors, vector(n);
  for (uint32_t i = 0; i < slots.size(); ++i) {
    const Vid vid = index_.pages_.DecodeRow(index_.pages_.RowOfGroup(*bytes, i), vector.data());
    if (index_.swept_.Contains(vid)) {
      result.gone.push_back(vid);
      continue;
    }
    kept.push_back(slots[i]);
    vids.push_back(vid);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  storage::ExtentPointer pointer;
  if (!kept.empty()) {
    ASSIGN_OR_RETURN(pointer, Append(index_.pages_.Encode(vids, vectors.data())));
  }
  result.after = VectorGroup::Of(pointer, result.before.slots, kept);
  return result;
}

absl::Status TreeMaintenance::CommitRewritten(absl::Span<const Rewritten> groups) {
  index_.maintain_mutex_.AssertHeld();
  WriteBatch batch;
  for (const Rewritten& one : groups) {
    const std::string key = index_.keys_.Of('g', one.group);
    if (one.after.rows > 0) {
      batch.Put(Table::kTree, key, EncodeGroup(one.after));
      index_.extents_->Reference(one.after.pointer, {Table::kTree, key}, &batch);
    } else {
      batch.Delete(Table::kTree, key);
    }
    index_.extents_->Release(one.before.pointer, &batch);
    for (const Vid vid : one.gone) batch.Delete(Table::kTree, index_.keys_.OfVid('x', vid));
  }
  absl::MutexLock commit(&index_.commit_mutex_);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  for (const Rewritten& one : groups) {
    index_.groups_[one.group] = one.after;
    for (const Vid vid : one.gone) {
      index_.removed_.Remove(vid);
      index_.swept_.Remove(vid);
    }
    index_.dead_.erase(one.group);
    index_.ripe_.erase(one.group);
  }
  return absl::OkStatus();
}

}  // namespace larder::index
