// What a TreeIndex holds of rows on their way in.
#ifndef LARDER_INDEX_TREE_TREE_CHANGES_H_
#define LARDER_INDEX_TREE_TREE_CHANGES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "index/vector_index.h"

namespace larder::index {

// The entries of a node that are not in its posting, oldest first.
struct TreeDelta {
  std::vector<uint64_t> sequences;
  std::vector<uint8_t> rows;
  std::shared_ptr<const std::string> packed;  // as a posting; never changed, but replaced
};

// A row that looks for its place.
struct TreeArrival {
  Vid vid = 0;
  std::vector<float> vector, rotated;
  uint32_t homes[2] = {0, 0};    // leaves; the same: one copy
  uint32_t anchors[2] = {0, 0};  // theirs
  std::vector<uint8_t> codes[2];
};

// On its way into a delta.
struct TreeEntry {
  uint32_t node = 0;
  uint64_t sequence = 0;
  std::vector<uint8_t> row;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_CHANGES_H_
