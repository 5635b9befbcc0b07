// TreeMaintenance: choosing the work, full groups, folds and splits.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "index/tree/tree_maintenance.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr size_t kFoldsAtOnce = 16;  // that share a sync and a commit
constexpr uint64_t kTidyTurn = 4;    // every so many pieces what can wait comes first
constexpr uint32_t kSmallShare = 4;  // a leaf with less than this part of its aim is merged

}  // namespace

absl::StatusOr<bool> TreeIndex::Maintain() {
  absl::MutexLock lock(&maintain_mutex_);
  TreeMaintenance maintenance(this);
  absl::StatusOr<bool> did = maintenance.Step();
  if (!did.ok()) maintenance.ForgetAppended();
  return did;
}

absl::StatusOr<bool> TreeIndex::Relocate(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                         const storage::ExtentPointer& to, WriteBatch* batch) {
  if (owner.table != Table::kTree || owner.key.size() != keys_.Prefix('p').size() + 4) return false;
  const char tag = owner.key[keys_.Prefix('p').size() - 1];
  if (owner.key.substr(0, keys_.Prefix(tag).size()) != keys_.Prefix(tag) || (tag != 'p' && tag != 'g')) return false;
  const uint32_t number = storage::ReadKey32(keys_.Rest(owner.key).data());
  absl::MutexLock maintain(&maintain_mutex_);  // nobody else changes pointers
  absl::MutexLock commit(&commit_mutex_);
  const auto holds = [&](const auto& all) { return number < all.size() && all[number].pointer == from; };
  std::string value;
  {
    absl::MutexLock lock(&mutex_);
    if (tag == 'p' && holds(postings_)) value = EncodeCounted({to, postings_[number].count});
    if (tag == 'g' && holds(groups_)) {
      VectorGroup moved = groups_[number];
      moved.pointer = to;
      value = EncodeGroup(moved);
    }
    if (value.empty()) return false;
  }
  batch->Put(Table::kTree, owner.key, value);
  RETURN_IF_ERROR(store_->Write(std::move(*batch)).status());
  *batch = WriteBatch();
  absl::MutexLock lock(&mutex_);
  (tag == 'p' ? postings_[number].pointer : groups_[number].pointer) = to;
  return true;
}

absl::StatusOr<storage::ExtentPointer> TreeMaintenance::Append(absl::string_view payload) {
  ASSIGN_OR_RETURN(const storage::ExtentPointer pointer, index_.extents_->Append(payload));
  appended_.push_back(pointer);
  return pointer;
}

// Whatever comes of it, the batch may be in the log: what it names stays.
absl::Status TreeMaintenance::Commit(WriteBatch batch) {
  appended_.clear();
  return index_.store_->Write(std::move(batch)).status();
}

void TreeMaintenance::ForgetAppended() {
  for (const storage::ExtentPointer& pointer : appended_) index_.extents_->Forget(pointer);
}

absl::StatusOr<bool> TreeMaintenance::Step() {
  index_.maintain_mutex_.AssertHeld();
  const bool tidy_first = ++index_.pieces_ % kTidyTurn == 0;
  for (const bool tidy : {tidy_first, !tidy_first}) {
    if (!tidy) {
      ASSIGN_OR_RETURN(const bool did, Urgent());
      if (did) return true;
      continue;
    }
    ASSIGN_OR_RETURN(const bool merged, Merge());
    if (merged) return true;
    ASSIGN_OR_RETURN(const bool purged, Purge());
    if (purged) return true;
    ASSIGN_OR_RETURN(const bool swept, Sweep());
    if (swept) return true;
  }
  return false;
}

absl::StatusOr<bool> TreeMaintenance::Urgent() {
  uint32_t group = 0, split = 0;
  std::vector<std::pair<size_t, uint32_t>> full;  // deltas: size, node
  bool seal = false, reassign = false;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    for (const auto& [id, rows] : index_.open_groups_) {
      const bool last = id == index_.open_groups_.rbegin()->first;  // and takes new rows
      if ((last && rows.size() < TreeIndex::kGroupRows) || rows.empty() || index_.uncertain_groups_.contains(id)) continue;
      seal = true, group = id;
    }
    for (const auto& [node, delta] : index_.deltas_) {
      if (delta.sequences.size() >= kBlockCodes) full.emplace_back(delta.sequences.size(), node);
    }
    if (!index_.splits_.empty()) reassign = true, split = *index_.splits_.begin();
  }
  if (seal) {
    RETURN_IF_ERROR(SealGroup(group));
  } else if (!full.empty()) {
    std::sort(full.rbegin(), full.rend());
    full.resize(std::min(full.size(), kFoldsAtOnce));
    RETURN_IF_ERROR(FoldOrSplit(full));
  } else if (reassign) {
    RETURN_IF_ERROR(Reassign(split));
  }
  return seal || !full.empty() || reassign;
}

absl::Status TreeMaintenance::SealGroup(uint32_t group) {
  TreeIndex::OpenGroup rows;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    rows = index_.open_groups_.at(group);  // it does not change any more
  }
  const size_t n = index_.header_.options.dimension;
  std::vector<Vid> vids(rows.size());
  std::vector<float> vectors(rows.size() * n);
  for (size_t i = 0; i < rows.size(); ++i) {
    vids[i] = index_.pages_.DecodeRow(reinterpret_cast<const uint8_t*>(rows[i].data()), &vectors[i * n]);
  }
  ASSIGN_OR_RETURN(const storage::ExtentPointer pointer, Append(index_.pages_.Encode(vids, vectors.data())));
  const VectorGroup sealed = VectorGroup::Full(pointer, static_cast<uint32_t>(rows.size()));
  RETURN_IF_ERROR(index_.extents_->Sync());
  WriteBatch batch;
  const std::string key = index_.keys_.Of('g', group);
  batch.Put(Table::kTree, key, EncodeGroup(sealed));
  index_.extents_->Reference(sealed.pointer, {Table::kTree, key}, &batch);
  for (uint32_t i = 0; i < rows.size(); ++i) batch.Delete(Table::kTree, index_.keys_.Of('v', group, i));
  absl::MutexLock commit(&index_.commit_mutex_);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  index_.groups_[group] = sealed;
  index_.open_groups_.erase(group);
  NoteDead(group, 0);
  return absl::OkStatus();
}

absl::StatusOr<TreeMaintenance::Leaf> TreeMaintenance::ReadLeaf(uint32_t node, bool with_delta) const {
  Leaf leaf;
  std::vector<uint8_t> delta;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    leaf.node = node;
    leaf.anchor = index_.nodes_.anchor(node);
    leaf.posting = index_.postings_[node];
    const auto found = index_.deltas_.find(node);
    if (with_delta && found != index_.deltas_.end()) leaf.sequences = found->second.sequences, delta = found->second.rows;
  }
  const size_t row_bytes = index_.code_.row_bytes();
  std::vector<uint8_t> rows;
  if (leaf.posting.count > 0) {
    const absl::StatusOr<std::string> bytes = std::move(index_.extents_->Read({&leaf.posting.pointer, 1})[0]);
    RETURN_IF_ERROR(bytes.status());
    ASSIGN_OR_RETURN(const Posting posting, Posting::Parse(index_.code_, *bytes, absl::StrCat("posting of node ", node)));
    if (posting.anchor() != leaf.anchor) return absl::DataLossError(absl::StrCat("posting of node ", node, ": another anchor"));
    rows.resize(posting.entries() * row_bytes);
    for (size_t i = 0; i < posting.entries(); ++i) posting.Row(i, &rows[i * row_bytes]);
  }
  rows.insert(rows.end(), delta.begin(), delta.end());
  absl::flat_hash_set<Vid> seen;
  absl::ReaderMutexLock lock(&index_.mutex_);
  for (size_t i = 0; i * row_bytes < rows.size(); ++i) {
    const EntryPlace place = PlaceAt(rows, i);
    if (index_.removed_.Contains(place.vid)) {
      leaf.dropped.push_back(place);
      continue;
    }
    if (!seen.insert(place.vid).second) continue;
    leaf.rows.insert(leaf.rows.end(), &rows[i * row_bytes], &rows[i * row_bytes] + row_bytes);
    ++leaf.count;
  }
  return leaf;
}

absl::Status TreeMaintenance::FoldOrSplit(absl::Span<const std::pair<size_t, uint32_t>> full) {
  const size_t limit = size_t{2} * index_.header_.options.leaf_entries;
  index_.maintain_mutex_.AssertHeld();
  std::vector<Leaf> folds;
  for (const auto& [size, node] : full) {
    ASSIGN_OR_RETURN(Leaf leaf, ReadLeaf(node, true));
    const auto tried = index_.unsplittable_.find(node);
    const bool hopeless = tried != index_.unsplittable_.end() && leaf.count < 2 * tried->second;
    if (leaf.count > limit && !hopeless) {
      ASSIGN_OR_RETURN(const bool split, Split(leaf));
      if (split) continue;
      index_.unsplittable_[node] = leaf.count;  // identical vectors: the posting grows
    }
    folds.push_back(std::move(leaf));
  }
  return folds.empty() ? absl::OkStatus() : Fold(folds);
}

absl::StatusOr<CountedPointer> TreeMaintenance::WritePosting(uint32_t anchor, const std::vector<uint8_t>& rows) {
  CountedPointer written;
  written.count = static_cast<uint32_t>(rows.size() / index_.code_.row_bytes());
  if (written.count == 0) return written;
  ASSIGN_OR_RETURN(written.pointer, Append(EncodePosting(index_.code_, anchor, rows.data(), written.count)));
  return written;
}

void TreeMaintenance::PutPosting(uint32_t node, const CountedPointer& from, const CountedPointer& to,
                                 WriteBatch* batch) const {
  const std::string key = index_.keys_.Of('p', node);
  if (to.count > 0) {
    batch->Put(Table::kTree, key, EncodeCounted(to));
    index_.extents_->Reference(to.pointer, {Table::kTree, key}, batch);
  } else {
    batch->Delete(Table::kTree, key);
  }
  if (from.count > 0) index_.extents_->Release(from.pointer, batch);
}

void TreeMaintenance::NoteShrunk(uint32_t node, size_t count, size_t lost) {
  index_.maintain_mutex_.AssertHeld();
  const bool small = count * kSmallShare < index_.header_.options.leaf_entries;
  // One that has always been small stays: dissolving it would make its neighbour split it off again.
  if (small && lost > 0) index_.shrunken_.insert(node);
  if (!small) index_.shrunken_.erase(node);
}

absl::Status TreeMaintenance::Fold(absl::Span<const Leaf> leaves) {
  std::vector<CountedPointer> folded;
  for (const Leaf& leaf : leaves) {
    ASSIGN_OR_RETURN(folded.emplace_back(), WritePosting(leaf.anchor, leaf.rows));
  }
  RETURN_IF_ERROR(index_.extents_->Sync());
  WriteBatch batch;
  for (size_t i = 0; i < leaves.size(); ++i) {
    PutPosting(leaves[i].node, leaves[i].posting, folded[i], &batch);
    PutDropped(leaves[i].dropped, &batch);
    for (const uint64_t sequence : leaves[i].sequences) {
      batch.Delete(Table::kTree, index_.keys_.Delta(leaves[i].node, sequence));
    }
  }
  absl::MutexLock commit(&index_.commit_mutex_);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const size_t gone = leaves[i].sequences.size();
    index_.postings_[leaves[i].node] = folded[i];
    TreeIndex::Delta& delta = index_.deltas_[leaves[i].node];  // later ones came behind
    delta.sequences.erase(delta.sequences.begin(), delta.sequences.begin() + gone);
    delta.rows.erase(delta.rows.begin(), delta.rows.begin() + gone * index_.code_.row_bytes());
    index_.Repack(leaves[i].node, &delta);
    if (delta.sequences.empty()) index_.deltas_.erase(leaves[i].node);
    NoteDropped(leaves[i].dropped);
    NoteShrunk(leaves[i].node, leaves[i].count, leaves[i].dropped.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> TreeMaintenance::Vectors(const std::vector<EntryPlace>& places) const {
  const size_t n = index_.header_.options.dimension;
  std::vector<float> vectors(places.size() * n);
  std::vector<storage::ExtentPointer> pages;
  std::vector<std::pair<size_t, uint32_t>> of;  // place, position
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    for (size_t i = 0; i < places.size(); ++i) {
      const EntryPlace& place = places[i];
      ASSIGN_OR_RETURN(const FoundRow row, index_.FindRow(place));
      if (row.open != nullptr) {
        index_.pages_.DecodeRow(reinterpret_cast<const uint8_t*>(row.open->data()), &vectors[i * n]);
      } else if (row.page.length > 0) {
        pages.push_back(row.page);
        of.push_back({i, row.position});
      } else {
        return absl::DataLossError(absl::StrCat("tree: vid ", place.vid, " has left group ", place.group));
      }
    }
  }
  absl::Status status;
  index_.extents_->Stream(pages, [&](size_t i, absl::StatusOr<std::string> page) {
    status.Update(page.status());
    if (!status.ok()) return false;
    const auto [at, position] = of[i];
    const absl::StatusOr<const uint8_t*> row = index_.pages_.Row(*page, position, places[at].vid);
    status.Update(row.status());
    if (row.ok()) index_.pages_.DecodeRow(*row, &vectors[at * n]);
    return status.ok();
  });
  if (!status.ok()) return status;
  return vectors;
}

absl::StatusOr<bool> TreeMaintenance::Split(const Leaf& leaf) {
  const size_t n = index_.header_.options.dimension;
  std::vector<EntryPlace> places;
  for (size_t i = 0; i < leaf.count; ++i) places.push_back(PlaceAt(leaf.rows, i));
  ASSIGN_OR_RETURN(const std::vector<float> vectors, Vectors(places));
  std::vector<const float*> rows;
  for (size_t i = 0; i < leaf.count; ++i) rows.push_back(&vectors[i * n]);
  const Clusters halves = KMeans(rows, n, 2, {.balance = 0.5f, .seed = leaf.node});
  if (halves.count < 2) return false;
  RETURN_IF_ERROR(CommitSplit(leaf, halves));
  return true;
}

std::vector<uint32_t> TreeMaintenance::NearerByCode(uint32_t anchor, const std::vector<uint8_t>& rows,
                                                    const Clusters& halves) const {
  const size_t n = index_.header_.options.dimension;
  const std::vector<float> first = Closeness(anchor, rows, halves.centroids.data());
  const std::vector<float> second = Closeness(anchor, rows, &halves.centroids[n]);
  std::vector<uint32_t> nearer(first.size());
  for (size_t i = 0; i < nearer.size(); ++i) nearer[i] = second[i] < first[i];
  return nearer;
}

// The leaf becomes an inner node over two new leaves: nothing else moves, not even other tenants' postings.
absl::Status TreeMaintenance::CommitSplit(const Leaf& leaf, const Clusters& halves) {
  const size_t n = index_.header_.options.dimension, row_bytes = index_.code_.row_bytes();
  std::vector<uint8_t> parts[2];
  for (size_t i = 0; i < leaf.count; ++i) {
    const uint8_t* row = &leaf.rows[i * row_bytes];
    parts[halves.of[i]].insert(parts[halves.of[i]].end(), row, row + row_bytes);
  }
  CountedPointer written[2];
  for (int half = 0; half < 2; ++half) {
    ASSIGN_OR_RETURN(written[half], WritePosting(leaf.anchor, parts[half]));
  }
  RETURN_IF_ERROR(index_.extents_->Sync());
  index_.maintain_mutex_.AssertHeld();
  absl::MutexLock commit(&index_.commit_mutex_);  // so nothing below changes until it is published
  TreeIndex::Delta delta;
  NodeRow parent{0, leaf.anchor, false, ""};
  uint32_t first, groups;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    first = static_cast<uint32_t>(index_.postings_.size());
    groups = static_cast<uint32_t>(index_.groups_.size());
    parent.parent = index_.nodes_.parent(leaf.node);
    parent.centroid = std::string(index_.nodes_.CentroidBytes(leaf.node));
    const auto waiting = index_.deltas_.find(leaf.node);
    if (waiting != index_.deltas_.end()) delta = waiting->second;
  }
  WriteBatch batch;
  std::vector<std::pair<uint32_t, NodeRow>> children;
  std::string code(parent.centroid.size(), '\0');
  for (uint32_t half = 0; half < 2; ++half) {
    index_.centroid_code_->Encode(&halves.centroids[half * n], reinterpret_cast<uint8_t*>(code.data()));
    children.push_back({first + half, NodeRow{leaf.node, leaf.anchor, true, code}});
    batch.Put(Table::kTree, index_.keys_.Of('n', first + half), EncodeNode(children.back().second));
    PutPosting(first + half, {}, written[half], &batch);
  }
  batch.Put(Table::kTree, index_.keys_.Of('n', leaf.node), EncodeNode(parent));
  PutPosting(leaf.node, leaf.posting, {}, &batch);
  PutDropped(leaf.dropped, &batch);
  batch.Put(Table::kTree, index_.keys_.Of('j', leaf.node), "");
  index_.PutIds(first + 2, groups, &batch);
  // What was inserted since goes on waiting, at the children.
  const std::vector<uint8_t> late(delta.rows.begin() + leaf.sequences.size() * row_bytes, delta.rows.end());
  const std::vector<uint32_t> nearer = NearerByCode(leaf.anchor, late, halves);
  for (const uint64_t sequence : delta.sequences) batch.Delete(Table::kTree, index_.keys_.Delta(leaf.node, sequence));
  delta.sequences.erase(delta.sequences.begin(), delta.sequences.begin() + leaf.sequences.size());
  const auto late_row = [&](size_t i) {
    return std::vector<uint8_t>(late.begin() + i * row_bytes, late.begin() + (i + 1) * row_bytes);
  };
  for (size_t i = 0; i < nearer.size(); ++i) index_.PutDelta(first + nearer[i], late_row(i), &batch, delta.sequences[i]);
  RETURN_IF_ERROR(Commit(std::move(batch)));
  absl::MutexLock lock(&index_.mutex_);
  index_.postings_.resize(first + 2);
  index_.nodes_.Grow(leaf.node, children);
  index_.postings_[leaf.node] = {};
  index_.deltas_.erase(leaf.node);
  index_.unsplittable_.erase(leaf.node);
  NoteDropped(leaf.dropped);
  index_.splits_.insert(leaf.node);
  for (uint32_t half = 0; half < 2; ++half) index_.postings_[first + half] = written[half];
  for (size_t i = 0; i < nearer.size(); ++i) index_.PublishDelta(first + nearer[i], delta.sequences[i], late_row(i));
  for (uint32_t half = 0; half < 2; ++half) {
    const auto waiting = index_.deltas_.find(first + half);
    if (waiting != index_.deltas_.end()) index_.Repack(first + half, &waiting->second);
  }
  return absl::OkStatus();
}

}  // namespace larder::index
