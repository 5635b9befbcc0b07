#include "index/tree/tree_index.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;

constexpr ProbeRule kUnmeasured = {0, 24, 48};

}  // namespace

absl::StatusOr<std::unique_ptr<TreeIndex>> TreeIndex::Open(storage::Store* store, storage::ExtentStore* extents,
                                                           uint32_t space) {
  const TreeKeys keys(space);
  ASSIGN_OR_RETURN(const std::string bytes, store->Get(Table::kTree, keys.Prefix('m')));
  ASSIGN_OR_RETURN(TreeHeader header, DecodeHeader(bytes));
  ASSIGN_OR_RETURN(std::unique_ptr<Code> code, ParseCode(header.centroid_code));
  if (header.options.space != space || header.options.bits == 0 ||
      code->options().dimension != header.options.dimension) {
    return absl::DataLossError(absl::StrCat("tree of space ", space, ": its header is another's"));
  }
  std::unique_ptr<TreeIndex> index(new TreeIndex(store, extents, std::move(header), std::move(code)));
  RETURN_IF_ERROR(index->Load());
  return index;
}

TreeIndex::TreeIndex(storage::Store* store, storage::ExtentStore* extents, TreeHeader header,
                     std::unique_ptr<Code> centroid_code)
    : store_(store), extents_(extents), keys_(header.options.space), header_(std::move(header)),
      code_({.dimension = header_.options.dimension, .metric = header_.options.metric, .bits = header_.options.bits,
             .seed = header_.options.seed}),
      pages_(header_.options.dimension, header_.options.element), centroid_code_(std::move(centroid_code)),
      nodes_(centroid_code_.get()) {}

absl::Status TreeIndex::LoadPointers() {
  postings_.resize(header_.next_node);
  groups_.resize(header_.next_group);
  for (const char tag : {'p', 'g'}) {
    const auto it = store_->NewIterator(Table::kTree, keys_.Prefix(tag));
    for (; it->Valid(); it->Next()) {
      const absl::string_view rest = keys_.Rest(it->key());
      const uint32_t number = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
      if (number >= (tag == 'p' ? postings_.size() : groups_.size())) {
        return absl::DataLossError(absl::StrCat("tree row '", std::string(1, tag), "' ", number));
      }
      ASSIGN_OR_RETURN(const absl::string_view value, it->value());
      if (tag == 'p') {
        ASSIGN_OR_RETURN(postings_[number], DecodeCounted(value));
        if (nodes_.IsLeaf(number) && postings_[number].count > 0) continue;
        return absl::DataLossError(absl::StrCat("tree: a posting of ", postings_[number].count, " entries at node ", number));
      }
      ASSIGN_OR_RETURN(groups_[number], DecodeGroup(value));
      if (groups_[number].pointer.length != pages_.GroupBytes(groups_[number].rows)) {
        return absl::DataLossError(absl::StrCat("tree group ", number, ": ", groups_[number].pointer.length, " bytes for ",
                                                groups_[number].rows, " rows"));
      }
    }
    RETURN_IF_ERROR(it->status());
  }
  return absl::OkStatus();
}

absl::Status TreeIndex::LoadNodes() {
  const auto it = store_->NewIterator(Table::kTree, keys_.Prefix('n'));
  for (; it->Valid(); it->Next()) {
    const absl::string_view rest = keys_.Rest(it->key());
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    ASSIGN_OR_RETURN(const NodeRow node, DecodeNode(value));
    const uint32_t id = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
    if (id >= header_.next_node || node.anchor >= header_.anchors) {
      return absl::DataLossError(absl::StrCat("tree node ", id, " with anchor ", node.anchor));
    }
    RETURN_IF_ERROR(nodes_.Put(id, node));
  }
  RETURN_IF_ERROR(it->status());
  return nodes_.Link();
}

absl::Status TreeIndex::Load() {
  absl::MutexLock maintain(&maintain_mutex_);
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<std::string> ids = store_->Get(Table::kTree, keys_.Prefix('i'));
  if (ids.ok() && ids->size() == 8) {
    header_.next_node = std::max(header_.next_node, storage::ReadKey32(ids->data()));
    header_.next_group = std::max(header_.next_group, storage::ReadKey32(ids->data() + 4));
  } else if (!absl::IsNotFound(ids.status())) {
    return ids.ok() ? absl::DataLossError("tree ids: another size") : ids.status();
  }
  RETURN_IF_ERROR(LoadNodes());
  const size_t n = header_.options.dimension;
  for (uint32_t id = 0; id < header_.anchors; ++id) {
    ASSIGN_OR_RETURN(const std::string bytes, store_->Get(Table::kTree, keys_.Of('a', id)));
    ASSIGN_OR_RETURN(const std::vector<float> vector, FloatsOf(bytes, n, "tree anchor"));
    anchors_.insert(anchors_.end(), vector.begin(), vector.end());
    rotated_anchors_.resize(anchors_.size());
    code_.Rotate(vector.data(), &rotated_anchors_[id * n]);
  }
  RETURN_IF_ERROR(LoadPointers());
  RETURN_IF_ERROR(LoadChanges());
  RETURN_IF_ERROR(LoadRemoved());
  for (uint32_t node = 0; node < postings_.size(); ++node) {
    if (nodes_.IsLeaf(node) && postings_[node].count == 0 && !deltas_.contains(node)) shrunken_.insert(node);
  }
  return absl::OkStatus();
}

absl::Status TreeIndex::LoadChanges() {
  const auto deltas = store_->NewIterator(Table::kTree, keys_.Prefix('d'));
  for (; deltas->Valid(); deltas->Next()) {
    const absl::string_view rest = keys_.Rest(deltas->key());
    ASSIGN_OR_RETURN(const absl::string_view row, deltas->value());
    const uint32_t node = rest.size() == 12 ? storage::ReadKey32(rest.data()) : ~0u;
    if (!nodes_.IsLeaf(node) || row.size() != code_.row_bytes()) {
      return absl::DataLossError(absl::StrCat("tree delta: ", row.size(), " bytes at node ", node));
    }
    Delta& delta = deltas_[node];
    delta.sequences.push_back(storage::ReadKey64(rest.data() + 4));
    delta.rows.insert(delta.rows.end(), row.begin(), row.end());
    next_sequence_ = std::max(next_sequence_, delta.sequences.back() + 1);
  }
  RETURN_IF_ERROR(deltas->status());
  for (auto& [node, delta] : deltas_) Repack(node, &delta);
  const auto rows = store_->NewIterator(Table::kTree, keys_.Prefix('v'));
  for (; rows->Valid(); rows->Next()) {
    const absl::string_view rest = keys_.Rest(rows->key());
    ASSIGN_OR_RETURN(const absl::string_view row, rows->value());
    const uint32_t group = rest.size() == 8 ? storage::ReadKey32(rest.data()) : ~0u;
    if (group >= groups_.size() || groups_[group].slots > 0 || row.size() != pages_.row_bytes() ||
        storage::ReadKey32(rest.data() + 4) != open_groups_[group].size()) {
      return absl::DataLossError(absl::StrCat("tree: a row of group ", group));
    }
    open_groups_[group].emplace_back(row);
  }
  RETURN_IF_ERROR(rows->status());
  const auto splits = store_->NewIterator(Table::kTree, keys_.Prefix('j'));
  for (; splits->Valid(); splits->Next()) {
    const absl::string_view rest = keys_.Rest(splits->key());
    ASSIGN_OR_RETURN(const absl::string_view value, splits->value());
    const uint32_t node = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
    if (node >= postings_.size() || !value.empty()) return absl::DataLossError(absl::StrCat("tree: a split of node ", node));
    splits_.insert(node);
  }
  return splits->status();
}

absl::Status TreeIndex::LoadRemoved() {
  const auto it = store_->NewIterator(Table::kTree, keys_.Prefix('x'));
  for (; it->Valid(); it->Next()) {
    const absl::string_view rest = keys_.Rest(it->key());
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    if (rest.size() != 8 || (!value.empty() && value.size() != 4)) {
      return absl::DataLossError(absl::StrCat("tree: a removed vid of ", rest.size(), " and ", value.size(), " bytes"));
    }
    const Vid vid = storage::ReadKey64(rest.data());
    removed_.Add(vid);
    if (!value.empty()) dropped_[vid] = storage::ReadKey32(value.data());
  }
  return it->status();
}

absl::StatusOr<FoundRow> TreeIndex::FindRow(const EntryPlace& place) const {
  const auto open = open_groups_.find(place.group);
  if (open != open_groups_.end() && place.slot < open->second.size()) return FoundRow{&open->second[place.slot], 0, {}};
  if (place.group >= groups_.size() || place.slot >= groups_[place.group].slots) {
    return absl::DataLossError(absl::StrCat("tree: vid ", place.vid, " in group ", place.group, ", slot ", place.slot));
  }
  const VectorGroup& group = groups_[place.group];
  const std::optional<uint32_t> position = group.Position(place.slot);
  if (!position.has_value()) return FoundRow{};
  return FoundRow{nullptr, *position, pages_.PagePointer(group.pointer, pages_.PageOf(*position))};
}

TreeStats TreeIndex::Stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  TreeStats stats;
  for (const CountedPointer& posting : postings_) {
    stats.entries += posting.count;
    stats.postings += posting.count > 0;
  }
  uint64_t waiting = 0;
  for (const VectorGroup& group : groups_) stats.rows += group.rows, waiting += group.bytes();
  for (const auto& [id, rows] : open_groups_) stats.rows += rows.size(), waiting += rows.size() * pages_.row_bytes();
  for (const auto& [node, delta] : deltas_) {
    stats.deltas += delta.sequences.size();
    waiting += delta.rows.capacity() + 8 * delta.sequences.capacity() + (delta.packed == nullptr ? 0 : delta.packed->size());
  }
  stats.removed = removed_.size();
  stats.leaves = nodes_.leaves();
  stats.resident_bytes = nodes_.bytes() + (anchors_.capacity() + rotated_anchors_.capacity()) * sizeof(float) +
                         postings_.capacity() * sizeof(CountedPointer) + waiting + removed_.bytes();
  return stats;
}

ProbeRule TreeIndex::RuleFor(const TreeSearchParams& params) const {
  ProbeRule rule = header_.rules.empty() ? kUnmeasured : header_.rules.back();
  for (const ProbeRule& known : header_.rules) {
    if (known.recall < params.target_recall) continue;
    rule = known;
    break;
  }
  // Rules are measured at 10.
  if (params.k > 10) rule.candidates = static_cast<uint32_t>(uint64_t{rule.candidates} * params.k / 10);
  if (params.postings > 0) {
    rule.postings = params.postings;
    rule.gap = std::numeric_limits<float>::infinity();
  }
  if (params.candidates > 0) rule.candidates = params.candidates;
  rule.candidates = std::max(rule.candidates, params.k);
  return rule;
}

}  // namespace larder::index
