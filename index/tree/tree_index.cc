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

absl::Status TreeIndex::LoadNumbered(char tag, std::vector<CountedPointer>* out) const {
  const auto it = store_->NewIterator(Table::kTree, keys_.Prefix(tag));
  for (; it->Valid(); it->Next()) {
    const absl::string_view rest = keys_.Rest(it->key());
    const uint32_t number = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
    if (number >= out->size()) return absl::DataLossError(absl::StrCat("tree row '", std::string(1, tag), "' ", number));
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    ASSIGN_OR_RETURN((*out)[number], DecodeCounted(value));
  }
  return it->status();
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
  postings_.resize(header_.next_node);
  groups_.resize(header_.next_group);
  RETURN_IF_ERROR(LoadNumbered('p', &postings_));
  RETURN_IF_ERROR(LoadNumbered('g', &groups_));
  for (uint32_t node = 0; node < postings_.size(); ++node) {
    if (postings_[node].count > 0 && !nodes_.IsLeaf(node)) {
      return absl::DataLossError(absl::StrCat("tree: a posting at node ", node, ", which is no leaf"));
    }
  }
  for (const CountedPointer& group : groups_) {
    if (group.pointer.length != pages_.GroupBytes(group.count)) return absl::DataLossError("tree: a group of another size");
  }
  RETURN_IF_ERROR(LoadChanges());
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
    if (group >= groups_.size() || groups_[group].count > 0 || row.size() != pages_.row_bytes() ||
        storage::ReadKey32(rest.data() + 4) != open_groups_[group].size()) {
      return absl::DataLossError(absl::StrCat("tree: a row of group ", group));
    }
    open_groups_[group].emplace_back(row);
  }
  RETURN_IF_ERROR(rows->status());
  const auto removed = store_->NewIterator(Table::kTree, keys_.Prefix('x'));
  for (; removed->Valid(); removed->Next()) {
    if (keys_.Rest(removed->key()).size() != 8) return absl::DataLossError("tree: a removed vid");
    removed_.Add(storage::ReadKey64(keys_.Rest(removed->key()).data()));
  }
  RETURN_IF_ERROR(removed->status());
  const auto splits = store_->NewIterator(Table::kTree, keys_.Prefix('j'));
  for (; splits->Valid(); splits->Next()) {
    const absl::string_view rest = keys_.Rest(splits->key());
    const uint32_t node = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
    if (node >= postings_.size()) return absl::DataLossError(absl::StrCat("tree: a split of node ", node));
    splits_.insert(node);
  }
  return splits->status();
}

TreeStats TreeIndex::Stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  TreeStats stats;
  for (const CountedPointer& posting : postings_) {
    stats.entries += posting.count;
    stats.postings += posting.count > 0;
  }
  for (const CountedPointer& group : groups_) stats.rows += group.count;
  uint64_t waiting = 0;
  for (const auto& [id, rows] : open_groups_) stats.rows += rows.size(), waiting += rows.size() * pages_.row_bytes();
  for (const auto& [node, delta] : deltas_) {
    stats.deltas += delta.sequences.size();
    waiting += delta.rows.capacity() + 8 * delta.sequences.capacity() + (delta.packed == nullptr ? 0 : delta.packed->size());
  }
  stats.removed = removed_.size();
  stats.leaves = nodes_.leaves();
  stats.resident_bytes = nodes_.bytes() + (anchors_.capacity() + rotated_anchors_.capacity()) * sizeof(float) +
                         (postings_.capacity() + groups_.capacity()) * sizeof(CountedPointer) + waiting + removed_.bytes();
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
