// TreeIndex: inserting and removing.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/tree/posting.h"
#include "index/tree/tree_index.h"
#include "index/vector_math.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr size_t kNearLeaves = 32;    // among which the homes are
constexpr size_t kWide = 512;

}  // namespace

// As the build does it, but from quantised centroids: the nearest leaf, and a second by SOAR's loss.
void TreeIndex::ChooseHomes(Arrival* arrival, uint32_t without) const {
  const size_t n = header_.options.dimension;
  const float* x = arrival->vector.data();
  CodeQuery query;
  centroid_code_->Prepare(x, &query);
  std::vector<TreeNodes::Near> near;
  nodes_.Nearest(query, kNearLeaves, kWide, &near);
  std::erase_if(near, [without](const TreeNodes::Near& leaf) { return leaf.node == without; });
  std::vector<float> residual(n), centroids(near.size() * n), distances(near.size()), dots(near.size());
  std::vector<const float*> rows;
  for (size_t i = 0; i < near.size(); ++i) {
    nodes_.Centroid(near[i].node, &centroids[i * n]);
    rows.push_back(&centroids[i * n]);
  }
  SelectKernels(DistanceForm::kSquaredL2).batch(x, rows.data(), rows.size(), n, distances.data());
  const size_t home = std::min_element(distances.begin(), distances.end()) - distances.begin();
  arrival->homes[0] = arrival->homes[1] = near[home].node;
  arrival->anchors[0] = arrival->anchors[1] = nodes_.anchor(near[home].node);
  if (header_.options.copies == 1) return;
  double along = 0;  // <x, r>
  for (size_t j = 0; j < n; ++j) residual[j] = x[j] - centroids[home * n + j], along += double{x[j]} * residual[j];
  SelectKernels(DistanceForm::kMinusDot).batch(residual.data(), rows.data(), rows.size(), n, dots.data());
  double least = 1e300;
  for (size_t i = 0; i < near.size(); ++i) {
    const double projection = along + dots[i];
    const double loss = distances[i] + (distances[home] > 1e-20f ? projection * projection / distances[home] : 0);
    if (i != home && loss < least) least = loss, arrival->homes[1] = near[i].node;
  }
  arrival->anchors[1] = nodes_.anchor(arrival->homes[1]);
}

std::vector<uint8_t> TreeIndex::EntryFor(const Arrival& arrival, uint32_t node, const EntryPlace& place) const {
  std::vector<uint8_t> row(code_.row_bytes());
  const float* centre = &rotated_anchors_[size_t{nodes_.anchor(node)} * header_.options.dimension];
  code_.Encode(arrival.rotated.data(), centre, place, row.data());
  return row;
}

// Both codes, without their place. Against one anchor they are the same. Takes no lock: anchors never change.
void TreeIndex::EncodeFor(Arrival* arrival) const {
  const size_t n = header_.options.dimension;
  for (int copy = 0; copy < 2; ++copy) {
    if (copy == 1 && arrival->anchors[1] == arrival->anchors[0]) {
      arrival->codes[1] = arrival->codes[0];
      continue;
    }
    arrival->codes[copy].resize(code_.row_bytes());
    code_.Encode(arrival->rotated.data(), &rotated_anchors_[arrival->anchors[copy] * n], {}, arrival->codes[copy].data());
  }
}

void TreeIndex::PutDelta(uint32_t node, const std::vector<uint8_t>& row, WriteBatch* batch, uint64_t sequence) const {
  batch->Put(Table::kTree, keys_.Delta(node, sequence), {reinterpret_cast<const char*>(row.data()), row.size()});
}

void TreeIndex::Repack(uint32_t node, Delta* delta) {
  delta->packed = delta->sequences.empty()
                      ? nullptr
                      : std::make_shared<const std::string>(EncodePosting(
                            code_, nodes_.anchor(node), delta->rows.data(), delta->sequences.size()));
}

TreeIndex::PackedDeltas TreeIndex::PackBehind(const std::vector<Entry>& entries) const {
  absl::flat_hash_map<uint32_t, std::vector<uint8_t>> rows;
  for (const Entry& entry : entries) rows[entry.node].insert(rows[entry.node].end(), entry.row.begin(), entry.row.end());
  PackedDeltas packed;
  absl::ReaderMutexLock lock(&mutex_);
  for (const auto& [node, behind] : rows) {
    const auto delta = deltas_.find(node);
    const size_t count = behind.size() / code_.row_bytes();
    packed.emplace_back(node, std::make_shared<const std::string>(
        delta == deltas_.end() || delta->second.packed == nullptr
            ? EncodePosting(code_, nodes_.anchor(node), behind.data(), count)
            : AppendToPosting(code_, *delta->second.packed, behind.data(), count)));
  }
  return packed;
}

void TreeIndex::PublishDelta(uint32_t node, uint64_t sequence, const std::vector<uint8_t>& row) {
  Delta& delta = deltas_[node];
  delta.sequences.push_back(sequence);
  delta.rows.insert(delta.rows.end(), row.begin(), row.end());
}

void TreeIndex::PutIds(size_t nodes, size_t groups, WriteBatch* batch) const {
  std::string ids;
  storage::AppendKey32(static_cast<uint32_t>(nodes), &ids);
  storage::AppendKey32(static_cast<uint32_t>(groups), &ids);
  batch->Put(Table::kTree, keys_.Prefix('i'), ids);
}

absl::Status TreeIndex::Insert(absl::Span<const Vid> vids, absl::Span<const float> vectors) {
  return Change(vids, vectors, {}, [this](WriteBatch batch) { return store_->Write(std::move(batch)).status(); });
}

absl::Status TreeIndex::Remove(absl::Span<const Vid> vids) {
  return Change({}, {}, vids, [this](WriteBatch batch) { return store_->Write(std::move(batch)).status(); });
}

absl::StatusOr<std::vector<TreeArrival>> TreeIndex::Arrivals(absl::Span<const Vid> vids,
                                                             absl::Span<const float> vectors) const {
  const TreeOptions& options = header_.options;
  RETURN_IF_ERROR(CheckAdd(vids, vectors, options.dimension));
  std::vector<Arrival> arrivals(vids.size());
  for (size_t i = 0; i < vids.size(); ++i) {
    const absl::Span<const float> vector = vectors.subspan(i * options.dimension, options.dimension);
    RETURN_IF_ERROR(CheckVector(vector, options.dimension, options.metric));
    Arrival& arrival = arrivals[i];
    arrival.vid = vids[i];
    arrival.vector.resize(options.dimension);
    arrival.rotated.resize(options.dimension);
    Canonicalize(vector, options.metric, arrival.vector.data());
    code_.Rotate(arrival.vector.data(), arrival.rotated.data());
    {
      absl::ReaderMutexLock lock(&mutex_);
      ChooseHomes(&arrival);
    }
    EncodeFor(&arrival);
  }
  return arrivals;
}

// Groups appear when their rows do: until then the last one counts as taking rows, and is not sealed.
void TreeIndex::Place(std::vector<Arrival>* arrivals, Placed* placed, WriteBatch* batch) {
  size_t groups = groups_.size();
  uint32_t group = open_groups_.empty() ? 0 : open_groups_.rbegin()->first;
  size_t taken = open_groups_.empty() ? kGroupRows : open_groups_.rbegin()->second.size();
  for (Arrival& arrival : *arrivals) {
    if (!nodes_.IsLeaf(arrival.homes[0]) || !nodes_.IsLeaf(arrival.homes[1])) {  // split meanwhile
      ChooseHomes(&arrival);
      EncodeFor(&arrival);
    }
    if (taken == kGroupRows) {
      group = static_cast<uint32_t>(groups++);
      taken = 0;
    }
    const EntryPlace place{arrival.vid, group, static_cast<uint16_t>(taken)};
    std::string row(pages_.row_bytes(), '\0');
    pages_.EncodeRow(arrival.vid, arrival.vector.data(), reinterpret_cast<uint8_t*>(row.data()));
    batch->Put(Table::kTree, keys_.Of('v', group, static_cast<uint32_t>(taken++)), row);
    placed->rows.emplace_back(group, std::move(row));
    for (int copy = 0; copy < (arrival.homes[0] == arrival.homes[1] ? 1 : 2); ++copy) {
      Entry entry{arrival.homes[copy], next_sequence_++, std::move(arrival.codes[copy])};
      SetPlaceOfRow(code_, place, entry.row.data());
      PutDelta(entry.node, entry.row, batch, entry.sequence);
      placed->entries.push_back(std::move(entry));
    }
  }
  PutIds(postings_.size(), groups, batch);
}

// Whether they were written is not known: these slots are not given out again, and their groups stay open.
void TreeIndex::SetAside(const Placed& placed) {
  if (placed.rows.empty()) return;
  for (const auto& [group, row] : placed.rows) {
    uncertain_groups_.insert(group);
    groups_.resize(std::max<size_t>(groups_.size(), group + 1));
  }
  open_groups_[static_cast<uint32_t>(groups_.size())];
  groups_.emplace_back();
}

void TreeIndex::Publish(Placed placed, const PackedDeltas& packed) {
  for (auto& [group, row] : placed.rows) {
    groups_.resize(std::max<size_t>(groups_.size(), group + 1));
    open_groups_[group].push_back(std::move(row));
  }
  for (const Entry& entry : placed.entries) PublishDelta(entry.node, entry.sequence, entry.row);
  for (const auto& [node, posting] : packed) deltas_[node].packed = posting;
}

absl::Status TreeIndex::Change(absl::Span<const Vid> vids, absl::Span<const float> vectors, absl::Span<const Vid> gone,
                               Commit commit) {
  ASSIGN_OR_RETURN(std::vector<Arrival> arrivals, Arrivals(vids, vectors));
  absl::MutexLock hold(&commit_mutex_);  // places and homes stay as they are until they are published
  WriteBatch batch;
  Placed placed;
  {
    absl::MutexLock lock(&mutex_);
    for (const Vid vid : gone) {
      // The row of one that was removed before may know more already.
      if (!removed_.Contains(vid)) batch.Put(Table::kTree, keys_.OfVid('x', vid), "");
    }
    if (!arrivals.empty()) Place(&arrivals, &placed, &batch);
  }
  const absl::Status written = commit(std::move(batch));
  const PackedDeltas packed = PackBehind(placed.entries);
  absl::MutexLock lock(&mutex_);
  if (!written.ok()) {
    SetAside(placed);
    return written;
  }
  Publish(std::move(placed), packed);
  for (const Vid vid : gone) removed_.Add(vid);
  return absl::OkStatus();
}

}  // namespace larder::index
