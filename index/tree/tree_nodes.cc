#include "index/tree/tree_nodes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::index {
namespace {

constexpr uint32_t kMostNodes = 1u << 30;

bool Nearer(const TreeNodes::Near& a, const TreeNodes::Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.node < b.node;
}

}  // namespace

TreeNodes::TreeNodes(const Code* centroid_code) : code_(centroid_code), nodes_(1) {
  nodes_[kRoot].present = true;
  centroids_.resize(code_->bytes());
}

absl::Status TreeNodes::Put(uint32_t id, const NodeRow& row) {
  if (id == kRoot || id >= kMostNodes || row.centroid.size() != code_->bytes()) {
    return absl::DataLossError(absl::StrCat("tree node ", id, ": a centroid of ", row.centroid.size(), " bytes, expected ",
                                            code_->bytes()));
  }
  if (id >= nodes_.size()) {
    nodes_.resize(id + 1);
    centroids_.resize(nodes_.size() * code_->bytes());
  }
  Node& node = nodes_[id];
  node.present = true;
  node.leaf = row.leaf;
  node.parent = row.parent;
  node.anchor = row.anchor;
  std::memcpy(&centroids_[size_t{id} * code_->bytes()], row.centroid.data(), row.centroid.size());
  return absl::OkStatus();
}

absl::Status TreeNodes::Link() {
  for (Node& node : nodes_) node.children.clear(), node.leaves = 0;
  for (uint32_t id = 1; id < nodes_.size(); ++id) {
    Node& node = nodes_[id];
    if (!node.present) continue;
    if (node.parent >= nodes_.size() || !nodes_[node.parent].present || nodes_[node.parent].leaf) {
      return absl::DataLossError(absl::StrCat("tree node ", id, ": its parent ", node.parent, " is no inner node"));
    }
    nodes_[node.parent].children.push_back(id);
  }
  for (uint32_t id = 1; id < nodes_.size(); ++id) {
    if (!nodes_[id].present || !nodes_[id].leaf) continue;
    uint32_t up = id;
    for (size_t level = 0; up != kRoot; ++level) {
      if (level == nodes_.size()) return absl::DataLossError(absl::StrCat("tree node ", id, ": a ring above it"));
      ++nodes_[up].leaves;
      up = nodes_[up].parent;
    }
    ++nodes_[kRoot].leaves;
  }
  return absl::OkStatus();
}

void TreeNodes::Grow(uint32_t leaf, const std::vector<std::pair<uint32_t, NodeRow>>& children) {
  for (const auto& [id, row] : children) {
    Put(id, row).IgnoreError();  // made by us, of the right size
    nodes_[id].leaves = 1;
    nodes_[leaf].children.push_back(id);
  }
  nodes_[leaf].leaf = false;
  for (uint32_t up = leaf;; up = nodes_[up].parent) {
    nodes_[up].leaves += static_cast<uint32_t>(children.size()) - 1;
    if (up == kRoot) break;
  }
}

TreeNodes::Pruned TreeNodes::Prune(uint32_t leaf) const {
  Pruned pruned;
  pruned.gone.push_back(leaf);
  uint32_t up = nodes_[leaf].parent;
  for (; up != kRoot && nodes_[up].children.size() == 1; up = nodes_[up].parent) pruned.gone.push_back(up);
  const std::vector<uint32_t>& children = nodes_[up].children;
  if (up == kRoot || children.size() != 2) return pruned;
  pruned.lifted = children[0] == pruned.gone.back() ? children[1] : children[0];
  pruned.lifted_to = nodes_[up].parent;
  pruned.gone.push_back(up);
  return pruned;
}

void TreeNodes::Apply(const Pruned& pruned) {
  for (uint32_t up = nodes_[pruned.gone[0]].parent;; up = nodes_[up].parent) {
    --nodes_[up].leaves;
    if (up == kRoot) break;
  }
  for (const uint32_t id : pruned.gone) {
    std::erase(nodes_[nodes_[id].parent].children, id);
    nodes_[id] = {};
  }
  if (pruned.lifted == kRoot) return;
  nodes_[pruned.lifted].parent = pruned.lifted_to;
  nodes_[pruned.lifted_to].children.push_back(pruned.lifted);
}

uint64_t TreeNodes::bytes() const {
  uint64_t bytes = centroids_.capacity() + nodes_.capacity() * sizeof(Node);
  for (const Node& node : nodes_) bytes += node.children.capacity() * sizeof(uint32_t);
  return bytes;
}

void TreeNodes::Score(const CodeQuery& query, std::vector<Near>* nodes) const {
  std::vector<const uint8_t*> rows(nodes->size());
  std::vector<float> distances(nodes->size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = &centroids_[size_t{(*nodes)[i].node} * code_->bytes()];
  code_->Estimate(query, rows.data(), rows.size(), distances.data());
  for (size_t i = 0; i < rows.size(); ++i) (*nodes)[i].distance = distances[i];
}

void TreeNodes::Nearest(const CodeQuery& query, size_t count, size_t wide, std::vector<Near>* out) const {
  out->clear();
  std::vector<Near> open = {{kRoot, 0}};
  while (!open.empty()) {
    std::vector<Near> next;
    size_t below = 0;
    for (const Near& near : open) {
      if (below >= wide) break;
      const Node& node = nodes_[near.node];
      below += node.leaves;
      if (node.leaf) {
        out->push_back(near);
        continue;
      }
      for (const uint32_t child : node.children) next.push_back({child, 0});
    }
    Score(query, &next);
    if (std::all_of(next.begin(), next.end(), [this](const Near& near) { return nodes_[near.node].leaf; })) {
      out->insert(out->end(), next.begin(), next.end());
      break;
    }
    std::sort(next.begin(), next.end(), Nearer);
    open = std::move(next);
  }
  const size_t kept = std::min(count, out->size());
  std::partial_sort(out->begin(), out->begin() + kept, out->end(), Nearer);
  out->resize(kept);
}

}  // namespace larder::index
