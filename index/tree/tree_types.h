// What goes into a search of a TreeIndex and what comes out of it.
#ifndef LARDER_INDEX_TREE_TREE_TYPES_H_
#define LARDER_INDEX_TREE_TREE_TYPES_H_

#include <cstdint>
#include <vector>

#include "index/vector_index.h"

namespace larder::index {

struct TreeSearchParams {
  uint32_t k = 10;
  float target_recall = 0.95f;     // looked up in what the build measured; the widest rule if none is enough
  uint32_t postings = 0;           // to read, instead of the rule's; 0 = by the rule
  uint32_t candidates = 0;         // to rank exactly, at most; likewise
  const VidSet* filter = nullptr;  // only these vids; null = all. Borrowed for the call.
};

struct TreeSearchStats {
  uint32_t rounds = 0;      // of dependent reads
  uint32_t reads = 0;       // postings and pages, each one read
  uint64_t bytes = 0;
  uint32_t postings = 0;
  uint32_t entries = 0;     // scored by code
  uint32_t candidates = 0;  // ranked exactly
};

struct TreeReply {
  std::vector<Neighbor> neighbors;  // best first, at most k; distances are those of the stored vectors
  TreeSearchStats stats;
};

struct TreeStats {
  uint64_t rows = 0;       // full vectors, removed ones among them until their pages go
  uint64_t entries = 0;    // of postings, copies counted
  uint64_t deltas = 0;     // entries that wait to be folded
  uint64_t removed = 0;
  size_t postings = 0, leaves = 0;
  uint64_t resident_bytes = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_TYPES_H_
