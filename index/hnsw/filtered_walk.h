// A walk that scores only what matches a filter (the ideas of ACORN-1, Patel et al., arXiv:2403.04871, and NaviX,
// Sehgal and Salihoglu, arXiv:2506.23397). Where an element has enough matching neighbours, the walk stays among
// these; where it has few, it looks through the others at their neighbours, and stops looking when it has
// enough. Where there is next to nothing even then, it goes on through what does not match, for a while.
#ifndef LARDER_INDEX_HNSW_FILTERED_WALK_H_
#define LARDER_INDEX_HNSW_FILTERED_WALK_H_

#include <cstddef>

#include "index/hnsw/scratch.h"
#include "index/hnsw/walk.h"

namespace larder::index {

// scratch->pool = the nearest found of scratch->matches, as WalkLayer's, on layer 0. `share`: of the
// elements, that match. Begins at `start` and at some of the matches, so that it reaches those far from the query.
// False, and no pool, if that would take more than `most` rows: far from all matches, a walk sees no way.
bool WalkMatches(const WalkedGraph& graph, Candidate start, const Reach& reach, double share, size_t most, Scratch* scratch);

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_FILTERED_WALK_H_
