#include "index/hnsw/walk.h"

#include <algorithm>

namespace larder::index {

Candidate Descend(const WalkedGraph& graph, HnswGraph::Entry entry, int level, Scratch* scratch) {
  Candidate nearest{0, entry.id};
  const uint8_t* row = graph.rows.WalkRow(entry.id);
  graph.rows.Estimate(scratch->query, &row, 1, &nearest.distance);
  Expansion& expansion = scratch->expansions[0];
  for (int layer = entry.level; layer > level; --layer) {
    for (bool moved = true; moved;) {
      moved = false;
      const uint32_t links = graph.links.CopyLinks(nearest.id, layer, expansion.ids.data());
      for (uint32_t i = 0; i < links; ++i) {
        expansion.rows[i] = graph.rows.WalkRow(expansion.ids[i]);
        graph.rows.Prefetch(expansion.rows[i]);
        graph.links.PrefetchTail(expansion.ids[i]);  // says where its lists are, should it be the next
      }
      graph.rows.Estimate(scratch->query, expansion.rows.data(), links, scratch->distances.data());
      for (uint32_t i = 0; i < links; ++i) {
        if (!(scratch->distances[i] < nearest.distance)) continue;
        nearest = {scratch->distances[i], expansion.ids[i]};
        moved = true;
      }
    }
  }
  return nearest;
}

void CutPool(size_t keep, Scratch* scratch) {
  std::vector<Candidate>& pool = scratch->pool;
  if (keep >= pool.size()) return;
  std::nth_element(pool.begin(), pool.begin() + keep, pool.end(), Nearer);
  pool.resize(keep);
}

void RankPool(const VectorRows& rows, Scratch* scratch) {
  std::vector<Candidate>& pool = scratch->pool;
  if (rows.coded()) {
    std::vector<uint32_t>& ids = scratch->ids;
    std::vector<float>& distances = scratch->distances;
    if (ids.size() < pool.size()) ids.resize(pool.size());
    if (distances.size() < pool.size()) distances.resize(pool.size());
    for (size_t i = 0; i < pool.size(); ++i) ids[i] = pool[i].id;
    rows.Distances(scratch->query, ids.data(), pool.size(), distances.data());
    for (size_t i = 0; i < pool.size(); ++i) pool[i].distance = distances[i];
  }
  std::sort(pool.begin(), pool.end(), Nearer);
}

}  // namespace larder::index
