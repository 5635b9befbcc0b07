#include "index/hnsw/walk.h"

#include <algorithm>
#include <cstring>

namespace larder::index {
namespace {

constexpr uint32_t kExpanded = 1u << 31;  // in a pool's ids, while walking

// Places `found` in the sorted pool of at most `ef` (dropping the last if full); returns where.
size_t InsertSorted(Candidate found, size_t ef, std::vector<Candidate>* pool) {
  const auto at = std::upper_bound(pool->begin(), pool->end(), found, internal_walk::Nearer);
  const size_t position = at - pool->begin();
  if (pool->size() < ef) pool->emplace_back();
  Candidate* slot = pool->data() + position;
  std::memmove(slot + 1, slot, (pool->size() - 1 - position) * sizeof(Candidate));
  *slot = found;
  return position;
}

}  // namespace

size_t ScoreNeighbours(const HnswGraph& graph, const float* query, uint32_t id, int level, Scratch* scratch) {
  const uint32_t links = graph.CopyLinks(id, level, scratch->links.data());
  for (uint32_t i = 0; i < links; ++i) scratch->visited.Prefetch(scratch->links[i]);
  size_t count = 0;
  for (uint32_t i = 0; i < links; ++i) {
    const uint32_t link = scratch->links[i];
    if (!scratch->visited.Insert(link)) continue;
    const float* row = graph.Vector(link);
    PrefetchRow(row, graph.dimension());
    scratch->ids[count] = link;
    scratch->rows[count++] = row;
  }
  graph.kernels().batch(query, scratch->rows.data(), count, graph.dimension(), scratch->distances.data());
  return count;
}

Candidate Descend(const HnswGraph& graph, const float* query, HnswGraph::Entry entry, int level,
                  Scratch* scratch) {
  Candidate nearest{0, entry.id};
  const float* row = graph.Vector(entry.id);
  graph.kernels().batch(query, &row, 1, graph.dimension(), &nearest.distance);
  for (int layer = entry.level; layer > level; --layer) {
    for (bool moved = true; moved;) {
      moved = false;
      const uint32_t links = graph.CopyLinks(nearest.id, layer, scratch->links.data());
      for (uint32_t i = 0; i < links; ++i) scratch->rows[i] = graph.Vector(scratch->links[i]);
      graph.kernels().batch(query, scratch->rows.data(), links, graph.dimension(), scratch->distances.data());
      for (uint32_t i = 0; i < links; ++i) {
        if (!(scratch->distances[i] < nearest.distance)) continue;
        nearest = {scratch->distances[i], scratch->links[i]};
        moved = true;
      }
    }
  }
  return nearest;
}

void WalkLayer(const HnswGraph& graph, const float* query, Candidate start, int level, size_t ef,
               Scratch* scratch) {
  std::vector<Candidate>& pool = scratch->pool;
  pool.reserve(ef + 1);
  pool.assign(1, start);
  scratch->visited.Clear(graph.capacity());
  scratch->visited.Insert(start.id);
  size_t next = 0;  // everything before it is expanded
  while (next < pool.size()) {
    if (pool[next].id & kExpanded) {
      ++next;
      continue;
    }
    const uint32_t id = pool[next].id;
    pool[next].id |= kExpanded;
    const size_t count = ScoreNeighbours(graph, query, id, level, scratch);
    for (size_t i = 0; i < count; ++i) {
      const Candidate found{scratch->distances[i], scratch->ids[i]};
      if (pool.size() == ef && !(found.distance < pool.back().distance)) continue;
      next = std::min(next, InsertSorted(found, ef, &pool));
    }
  }
  for (Candidate& candidate : pool) candidate.id &= ~kExpanded;
}

}  // namespace larder::index
