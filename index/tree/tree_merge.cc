// TreeMaintenance: a leaf that has shrunk is dissolved, each of its entries goes to the nearest leaf that lacks it.
//
// All of it is one commit: a kill leaves the leaf as it was or gone. Homes are chosen by full vectors, as for an
// insert, so nothing has to be reassigned afterwards.
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "index/tree/tree_maintenance.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

}  // namespace

struct TreeMaintenance::Dissolution {
  struct Move {
    uint32_t target;
    uint64_t sequence;
    std::vector<uint8_t> row;
  };
  std::vector<Move> moves;
};

absl::StatusOr<bool> TreeMaintenance::Merge() {
  index_.maintain_mutex_.AssertHeld();
  while (!index_.shrunken_.empty()) {
    const uint32_t node = *index_.shrunken_.begin();
    index_.shrunken_.erase(index_.shrunken_.begin());
    {
      absl::ReaderMutexLock lock(&index_.mutex_);
      // A split's entries find their places first.
      if (!index_.splits_.empty()) {
        index_.shrunken_.insert(node);
        return false;
      }
      if (!index_.nodes_.IsLeaf(node) || index_.nodes_.leaves() < 2) continue;
    }
    ASSIGN_OR_RETURN(const bool gone, Dissolve(node));
    if (gone) return true;
  }
  return false;
}

// False if it must not be: new rows are arriving in it.
absl::StatusOr<bool> TreeMaintenance::Dissolve(uint32_t node) {
  ASSIGN_OR_RETURN(const Leaf leaf, ReadLeaf(node, true));
  Dissolution plan;
  RETURN_IF_ERROR(Rehome(leaf, &plan));
  return CommitDissolution(leaf, plan);
}

absl::Status TreeMaintenance::Rehome(const Leaf& leaf, Dissolution* plan) {
  const size_t n = index_.header_.options.dimension;
  std::vector<EntryPlace> places;
  for (size_t i = 0; i < leaf.count; ++i) places.push_back(PlaceAt(leaf.rows, i));
  ASSIGN_OR_RETURN(const std::vector<float> vectors, Vectors(places));
  std::vector<TreeIndex::Arrival> arrivals(leaf.count);
  std::map<uint32_t, absl::flat_hash_set<Vid>> held;  // by the homes
  for (size_t i = 0; i < leaf.count; ++i) {
    TreeIndex::Arrival& arrival = arrivals[i];
    arrival.vid = places[i].vid;
    arrival.vector.assign(&vectors[i * n], &vectors[i * n] + n);
    arrival.rotated.resize(n);
    index_.code_.Rotate(arrival.vector.data(), arrival.rotated.data());
    absl::ReaderMutexLock lock(&index_.mutex_);
    index_.ChooseHomes(&arrival, leaf.node);
    for (const uint32_t home : arrival.homes) held[home];
  }
  for (auto& [home, vids] : held) {
    ASSIGN_OR_RETURN(const Leaf other, ReadLeaf(home, true));
    for (size_t i = 0; i < other.count; ++i) vids.insert(PlaceAt(other.rows, i).vid);
  }
  absl::MutexLock lock(&index_.mutex_);
  for (size_t i = 0; i < leaf.count; ++i) {
    for (const uint32_t home : arrivals[i].homes) {
      if (!held[home].insert(places[i].vid).second) continue;
      plan->moves.push_back({home, index_.next_sequence_++, index_.EntryFor(arrivals[i], home, places[i])});
      break;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TreeMaintenance::CommitDissolution(const Leaf& leaf, const Dissolution& plan) {
  index_.maintain_mutex_.AssertHeld();
  absl::MutexLock commit(&index_.commit_mutex_);
  WriteBatch batch;
  TreeNodes::Pruned pruned;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    const auto delta = index_.deltas_.find(leaf.node);
    if (delta != index_.deltas_.end() && delta->second.sequences.size() > leaf.sequences.size()) return false;
    pruned = index_.nodes_.Prune(leaf.node);
    for (const uint32_t node : pruned.gone) batch.Delete(Table::kTree, index_.keys_.Of('n', node));
    if (pruned.lifted != TreeNodes::kRoot) {
      const NodeRow row{pruned.lifted_to, index_.nodes_.anchor(pruned.lifted), index_.nodes_.IsLeaf(pruned.lifted),
                        std::string(index_.nodes_.CentroidBytes(pruned.lifted))};
      batch.Put(Table::kTree, index_.keys_.Of('n', pruned.lifted), EncodeNode(row));
    }
  }
  PutPosting(leaf.node, leaf.posting, {}, &batch);
  PutDropped(leaf.dropped, &batch);
  for (const uint64_t sequence : leaf.sequences) batch.Delete(Table::kTree, index_.keys_.Delta(leaf.node, sequence));
  for (const Dissolution::Move& move : plan.moves) index_.PutDelta(move.target, move.row, &batch, move.sequence);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  index_.nodes_.Apply(pruned);
  index_.postings_[leaf.node] = {};
  index_.deltas_.erase(leaf.node);
  index_.unsplittable_.erase(leaf.node);
  NoteDropped(leaf.dropped);
  absl::flat_hash_set<uint32_t> changed;
  for (const Dissolution::Move& move : plan.moves) {
    index_.PublishDelta(move.target, move.sequence, move.row);
    changed.insert(move.target);
  }
  for (const uint32_t target : changed) index_.Repack(target, &index_.deltas_[target]);
  return true;
}

}  // namespace larder::index
