// Walks over the graph: greedy through the upper layers, best-first in one layer.
#ifndef LARDER_INDEX_HNSW_WALK_H_
#define LARDER_INDEX_HNSW_WALK_H_

#include <cstddef>
#include <cstdint>

#include "index/hnsw/graph.h"
#include "index/hnsw/scratch.h"
#include "index/hnsw/vector_rows.h"

namespace larder::index {

// What a walk goes over. Borrowed.
struct WalkedGraph {
  const HnswGraph& links;
  const VectorRows& rows;
};

// The nearest to scratch->query that greedy steps find on layers entry.level to `level` + 1.
Candidate Descend(const WalkedGraph& graph, HnswGraph::Entry entry, int level, Scratch* scratch);

// Best-first over `level` from `start`: scratch->pool = the `reach.least` nearest found that `admit`, and those
// beyond that `reach` let it expand, by the walk's estimates and in no order. The walk goes through all.
//
// Three steps of three elements overlap, so that none waits for memory: the links of one are fetched
// while the rows of the neighbours of the one before are, while those of the one before that are scored.
template <typename Admit>
void WalkLayer(const WalkedGraph& graph, Candidate start, int level, const Reach& reach, const Admit& admit,
               Scratch* scratch);

// Cuts scratch->pool to the `keep` nearest by the walk's estimates.
void CutPool(size_t keep, Scratch* scratch);
// Sorts scratch->pool by the best distances.
void RankPool(const VectorRows& rows, Scratch* scratch);

inline bool Nearer(const Candidate& a, const Candidate& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
}

namespace internal_walk {

// Gathers the neighbours of `id` that the walk has not seen, and fetches their rows.
inline void Gather(const WalkedGraph& graph, uint32_t id, int level, Scratch* scratch, Expansion* expansion) {
  uint32_t* ids = expansion->ids.data();
  expansion->count = scratch->visited.InsertNew(ids, graph.links.CopyLinks(id, level, ids));
  for (size_t i = 0; i < expansion->count; ++i) {
    expansion->rows[i] = graph.rows.WalkRow(ids[i]);
    graph.rows.Prefetch(expansion->rows[i]);
  }
}

template <typename Admit>
void ScoreExpansion(const WalkedGraph& graph, const Expansion& expansion, const Admit& admit, Scratch* scratch) {
  float* distances = scratch->distances.data();
  graph.rows.Estimate(scratch->query, expansion.rows.data(), expansion.count, distances);
  Frontier& frontier = scratch->frontier;
  const float worst = frontier.worst();
  for (size_t i = 0; i < expansion.count; ++i) {
    if (!(distances[i] < worst)) continue;
    frontier.Push({distances[i], expansion.ids[i]}, admit(expansion.ids[i]));
  }
  frontier.Tighten();
}

}  // namespace internal_walk

template <typename Admit>
void WalkLayer(const WalkedGraph& graph, Candidate start, int level, const Reach& reach, const Admit& admit,
               Scratch* scratch) {
  constexpr uint32_t kNone = ~0u;
  scratch->visited.Clear(graph.links.capacity());
  uint32_t first = start.id;
  scratch->visited.InsertNew(&first, 1);
  scratch->frontier.Start(start.distance, scratch->query.offset, reach);
  scratch->frontier.Push(start, admit(start.id));
  uint32_t next = kNone;
  Expansion* gathered = &scratch->expansions[0];
  Expansion* before = &scratch->expansions[1];
  gathered->count = before->count = 0;
  for (;;) {
    Candidate popped{0, kNone};
    if (scratch->frontier.Pop(&popped)) graph.links.PrefetchLinks(popped.id);
    gathered->count = 0;
    if (next != kNone) internal_walk::Gather(graph, next, level, scratch, gathered);
    if (before->count > 0) internal_walk::ScoreExpansion(graph, *before, admit, scratch);
    if (popped.id == kNone && next == kNone && before->count == 0) break;
    next = popped.id;
    std::swap(gathered, before);
  }
  scratch->frontier.Results(&scratch->pool);
}

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_WALK_H_
