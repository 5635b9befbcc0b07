// Walks over the graph: greedy through the upper layers, best-first in one layer.
#ifndef LARDER_INDEX_HNSW_WALK_H_
#define LARDER_INDEX_HNSW_WALK_H_

#include <cstddef>
#include <cstdint>

#include "index/hnsw/graph.h"
#include "index/hnsw/scratch.h"

namespace larder::index {

// The nearest to `query` that greedy steps find on layers entry.level to `level` + 1.
Candidate Descend(const HnswGraph& graph, const float* query, HnswGraph::Entry entry, int level,
                  Scratch* scratch);

// Best-first over `level` from `start`: scratch->pool = the `ef` nearest found, nearest first. One
// sorted array is both the frontier and the result (as in Fu et al., NSG, arXiv:1707.00143), for a
// moderate ef the fastest of the known ways.
void WalkLayer(const HnswGraph& graph, const float* query, Candidate start, int level, size_t ef,
               Scratch* scratch);

// The same over layer 0, but scratch->pool holds only elements that `admit`; the walk goes through
// all. Frontier and result are heaps: right for a large `ef` as well.
template <typename Admit>
void WalkAdmitted(const HnswGraph& graph, const float* query, Candidate start, size_t ef, const Admit& admit,
                  Scratch* scratch);

// Fills scratch->ids and ->distances with the unvisited neighbours of `id`; returns their number.
size_t ScoreNeighbours(const HnswGraph& graph, const float* query, uint32_t id, int level, Scratch* scratch);

namespace internal_walk {
inline bool Nearer(const Candidate& a, const Candidate& b) { return a.distance < b.distance; }
inline bool Farther(const Candidate& a, const Candidate& b) { return a.distance > b.distance; }
}  // namespace internal_walk

template <typename Admit>
void WalkAdmitted(const HnswGraph& graph, const float* query, Candidate start, size_t ef, const Admit& admit,
                  Scratch* scratch) {
  using internal_walk::Farther, internal_walk::Nearer;
  std::vector<Candidate>&frontier = scratch->frontier, &pool = scratch->pool;  // min-heap, max-heap
  scratch->visited.Clear(graph.capacity());
  scratch->visited.Insert(start.id);
  frontier.assign(1, start);
  pool.clear();
  if (admit(start.id)) pool.push_back(start);
  while (!frontier.empty()) {
    const Candidate nearest = frontier.front();
    if (pool.size() == ef && nearest.distance > pool.front().distance) break;
    std::pop_heap(frontier.begin(), frontier.end(), Farther);
    frontier.pop_back();
    const size_t count = ScoreNeighbours(graph, query, nearest.id, 0, scratch);
    for (size_t i = 0; i < count; ++i) {
      const Candidate found{scratch->distances[i], scratch->ids[i]};
      if (pool.size() == ef && !(found.distance < pool.front().distance)) continue;
      frontier.push_back(found);
      std::push_heap(frontier.begin(), frontier.end(), Farther);
      if (!admit(found.id)) continue;
      if (pool.size() == ef) {
        std::pop_heap(pool.begin(), pool.end(), Nearer);
        pool.back() = found;
      } else {
        pool.push_back(found);
      }
      std::push_heap(pool.begin(), pool.end(), Nearer);
    }
  }
  std::sort_heap(pool.begin(), pool.end(), Nearer);
}

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_WALK_H_
