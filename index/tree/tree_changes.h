// What a TreeIndex holds of rows on their way in.
#ifndef LARDER_INDEX_TREE_TREE_CHANGES_H_
#define LARDER_INDEX_TREE_TREE_CHANGES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "index/vector_index.h"
#include "index/vid_set.h"
#include "storage/extent_store.h"

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

// Rows and entries that have their places, and wait for their commit.
struct PlacedRows {
  std::vector<TreeEntry> entries;
  std::vector<std::pair<uint32_t, std::string>> rows;  // by group, in order of slots
};

// A walk over all leaves that takes out the entries of what was removed before it began.
struct TreeSweep {
  VidSet removed;
  uint32_t next = 1;  // node; new nodes are beyond it
};

// Where a full vector is: in a group that is not full yet, or in a page; neither once it was removed.
struct FoundRow {
  const std::string* open = nullptr;
  uint32_t position = 0;
  storage::ExtentPointer page;  // length 0: none
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_CHANGES_H_
