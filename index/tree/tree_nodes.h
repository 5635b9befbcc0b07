// The tree in memory: nodes with quantised centroids, and the search for the leaves near a query.
#ifndef LARDER_INDEX_TREE_TREE_NODES_H_
#define LARDER_INDEX_TREE_TREE_NODES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "index/codes/code.h"
#include "index/tree/tree_rows.h"

namespace larder::index {

// Node 0 is the root and has no row. Thread-compatible.
class TreeNodes {
 public:
  static constexpr uint32_t kRoot = 0;
  explicit TreeNodes(const Code* centroid_code);  // borrowed

  // Any order; Link comes after the last. DataLoss for a centroid of the wrong size or an id of kRoot.
  absl::Status Put(uint32_t id, const NodeRow& row);
  // Of a linked tree: `leaf` becomes an inner node with these leaves as children.
  void Grow(uint32_t leaf, const std::vector<std::pair<uint32_t, NodeRow>>& children);
  // What goes when a leaf does: it, inner nodes that are childless then, and the one above if it has a single child
  // left, which is lifted to that one's parent.
  struct Pruned {
    std::vector<uint32_t> gone;
    uint32_t lifted = kRoot, lifted_to = kRoot;  // kRoot: none
  };
  Pruned Prune(uint32_t leaf) const;
  void Apply(const Pruned& pruned);
  // A centroid, decoded into `dimension` floats.
  void Centroid(uint32_t id, float* out) const { code_->Decode(&centroids_[size_t{id} * code_->bytes()], out); }
  absl::string_view CentroidBytes(uint32_t id) const {
    return {reinterpret_cast<const char*>(&centroids_[size_t{id} * code_->bytes()]), code_->bytes()};
  }
  uint32_t parent(uint32_t id) const { return nodes_[id].parent; }
  const std::vector<uint32_t>& children(uint32_t id) const { return nodes_[id].children; }
  // Makes the tree of what was put. DataLoss if a parent is missing or a leaf, or there is a ring.
  absl::Status Link();

  size_t leaves() const { return nodes_[kRoot].leaves; }
  bool IsLeaf(uint32_t id) const { return id < nodes_.size() && nodes_[id].present && nodes_[id].leaf; }
  uint32_t anchor(uint32_t id) const { return nodes_[id].anchor; }
  uint64_t bytes() const;

  struct Near {
    uint32_t node = 0;
    float distance = 0;  // by the centroid code's metric
  };
  // About the nearest `count` leaves, ascending. Level by level the nearest nodes are opened that together have
  // at least `wide` leaves below them.
  void Nearest(const CodeQuery& query, size_t count, size_t wide, std::vector<Near>* out) const;

 private:
  struct Node {
    bool present = false, leaf = false;
    uint32_t parent = 0, anchor = 0;
    uint32_t leaves = 0;  // below it
    std::vector<uint32_t> children;
  };
  void Score(const CodeQuery& query, std::vector<Near>* nodes) const;

  const Code* const code_;
  std::vector<Node> nodes_;       // by id
  std::vector<uint8_t> centroids_;  // by id
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_NODES_H_
