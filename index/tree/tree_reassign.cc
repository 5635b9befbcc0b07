// TreeMaintenance: after a split, entries that are nearer to another leaf now (LIRE, Xu et al., SOSP 2023).
//
// An entry of the split leaf may have moved away from its centroid: then some other leaf may be nearer. An entry of a
// neighbouring leaf may be nearer to a new centroid than to the old one and to its own. Codes say which may be
// concerned; their full vectors decide.
#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "index/tree/tree_maintenance.h"
#include "index/vector_math.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr size_t kNeighbours = 16;  // leaves that are looked at

}  // namespace

struct TreeMaintenance::Reassignment {
  std::vector<float> old_centroid;
  std::vector<uint32_t> children;
  std::vector<std::vector<float>> child_centroids;
  std::map<uint32_t, absl::flat_hash_set<Vid>> held;  // by leaves that were read
  // What will be, in one commit.
  struct Move {
    uint32_t target;
    uint64_t sequence;
    std::vector<uint8_t> row;
  };
  std::vector<Move> moves;
  struct Rewritten {
    uint32_t source;
    CountedPointer before, after;
  };
  std::vector<Rewritten> postings;
  std::vector<EntryPlace> dropped;
  WriteBatch batch;
};

// Squared distances less |x|^2: comparable among centroids.
std::vector<float> TreeMaintenance::Closeness(uint32_t anchor, const std::vector<uint8_t>& rows, const float* centroid) const {
  const size_t count = rows.size() / index_.code_.row_bytes(), n = index_.header_.options.dimension;
  std::vector<float> closeness(count);
  if (count == 0) return closeness;
  const std::string bytes = EncodePosting(index_.code_, anchor, rows.data(), count);
  const Posting posting = *Posting::Parse(index_.code_, bytes, "rows in memory");
  PostingQuery query;
  index_.code_.Prepare(centroid, &query);
  const PostingCode::AnchorTerms terms = index_.code_.Against(query, index_.anchor(anchor).data());
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += double{centroid[i]} * centroid[i];
  const bool l2 = index_.header_.options.metric == Metric::kL2;
  float estimates[kBlockCodes];
  for (size_t i = 0; i < count; ++i) {
    if (i % kBlockCodes == 0) index_.code_.EstimateBlock(query, terms, posting.block(i / kBlockCodes), estimates);
    closeness[i] = l2 ? estimates[i % kBlockCodes] : static_cast<float>(squares) + 2 * estimates[i % kBlockCodes];
  }
  return closeness;
}

absl::Status TreeMaintenance::Reassign(uint32_t node) {
  const size_t n = index_.header_.options.dimension;
  Reassignment job;
  std::vector<uint32_t> sources;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    job.old_centroid.resize(n);
    index_.nodes_.Centroid(node, job.old_centroid.data());
    for (const uint32_t child : index_.nodes_.children(node)) {
      if (!index_.nodes_.IsLeaf(child)) continue;  // split again: a job of its own
      job.children.push_back(child);
      job.child_centroids.emplace_back(n);
      index_.nodes_.Centroid(child, job.child_centroids.back().data());
    }
    sources = job.children;
    CodeQuery query;
    index_.centroid_code_->Prepare(job.old_centroid.data(), &query);
    std::vector<TreeNodes::Near> near;
    index_.nodes_.Nearest(query, kNeighbours + job.children.size(), 512, &near);
    for (const TreeNodes::Near& leaf : near) {
      if (std::find(sources.begin(), sources.end(), leaf.node) == sources.end()) sources.push_back(leaf.node);
    }
  }
  for (const uint32_t source : sources) RETURN_IF_ERROR(ReassignFrom(source, &job));
  if (!job.postings.empty()) RETURN_IF_ERROR(index_.extents_->Sync());
  // Only now: nothing can fail any more before the commit.
  for (const Reassignment::Rewritten& one : job.postings) PutPosting(one.source, one.before, one.after, &job.batch);
  PutDropped(job.dropped, &job.batch);
  job.batch.Delete(Table::kTree, index_.keys_.Of('j', node));
  absl::MutexLock commit(&index_.commit_mutex_);
  RETURN_IF_ERROR(Commit(std::move(job.batch)));
  absl::MutexLock lock(&index_.mutex_);
  index_.splits_.erase(node);
  NoteDropped(job.dropped);
  for (const Reassignment::Rewritten& one : job.postings) index_.postings_[one.source] = one.after;
  absl::flat_hash_set<uint32_t> changed;
  for (const Reassignment::Move& move : job.moves) {
    index_.PublishDelta(move.target, move.sequence, move.row);
    changed.insert(move.target);
  }
  for (const uint32_t target : changed) index_.Repack(target, &index_.deltas_[target]);
  return absl::OkStatus();
}

absl::Status TreeMaintenance::ReassignFrom(uint32_t source, Reassignment* job) {
  const size_t n = index_.header_.options.dimension, row_bytes = index_.code_.row_bytes();
  ASSIGN_OR_RETURN(const Leaf leaf, ReadLeaf(source, false));
  std::vector<float> own(n);
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    index_.nodes_.Centroid(source, own.data());
  }
  for (size_t i = 0; i < leaf.count; ++i) job->held[source].insert(PlaceAt(leaf.rows, i).vid);
  const bool is_child = std::find(job->children.begin(), job->children.end(), source) != job->children.end();
  const std::vector<float> to_old = Closeness(leaf.anchor, leaf.rows, job->old_centroid.data());
  const std::vector<float> to_own = Closeness(leaf.anchor, leaf.rows, own.data());
  std::vector<float> to_new(leaf.count, std::numeric_limits<float>::infinity());
  for (const std::vector<float>& centroid : job->child_centroids) {
    const std::vector<float> to_child = Closeness(leaf.anchor, leaf.rows, centroid.data());
    for (size_t i = 0; i < leaf.count; ++i) to_new[i] = std::min(to_new[i], to_child[i]);
  }
  std::vector<size_t> concerned;
  std::vector<EntryPlace> places;
  for (size_t i = 0; i < leaf.count; ++i) {
    const bool maybe = is_child ? to_old[i] < to_own[i] : to_new[i] < to_old[i] && to_new[i] < to_own[i];
    if (!maybe) continue;
    concerned.push_back(i);
    places.push_back(PlaceAt(leaf.rows, i));
  }
  if (concerned.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<float> vectors, Vectors(places));
  absl::flat_hash_set<size_t> leaving;
  {
    absl::MutexLock lock(&index_.mutex_);
    for (size_t c = 0; c < concerned.size(); ++c) {
      TreeIndex::Arrival arrival;
      arrival.vid = places[c].vid;
      arrival.vector.assign(&vectors[c * n], &vectors[c * n] + n);
      arrival.rotated.resize(n);
      index_.code_.Rotate(arrival.vector.data(), arrival.rotated.data());
      index_.ChooseHomes(&arrival);
      if (arrival.homes[0] == source || arrival.homes[1] == source) continue;
      // Of its homes one that lacks it, as far as is known; it is dropped here if both have it.
      leaving.insert(concerned[c]);
      const auto known = [&](uint32_t home) { return job->held.contains(home); };
      if (known(arrival.homes[1]) && !known(arrival.homes[0])) std::swap(arrival.homes[0], arrival.homes[1]);
      for (const uint32_t home : arrival.homes) {
        if (known(home) && !job->held[home].insert(arrival.vid).second) continue;
        job->moves.push_back({home, index_.next_sequence_++, index_.EntryFor(arrival, home, places[c])});
        index_.PutDelta(home, job->moves.back().row, &job->batch, job->moves.back().sequence);
        break;
      }
    }
  }
  if (leaving.empty()) return absl::OkStatus();
  std::vector<uint8_t> rest;
  for (size_t i = 0; i < leaf.count; ++i) {
    if (!leaving.contains(i)) rest.insert(rest.end(), &leaf.rows[i * row_bytes], &leaf.rows[i * row_bytes] + row_bytes);
  }
  ASSIGN_OR_RETURN(const CountedPointer written, WritePosting(leaf.anchor, rest));
  job->dropped.insert(job->dropped.end(), leaf.dropped.begin(), leaf.dropped.end());
  job->postings.push_back({source, leaf.posting, written});
  return absl::OkStatus();
}

}  // namespace larder::index
