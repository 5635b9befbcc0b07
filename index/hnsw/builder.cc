#include "index/hnsw/builder.h"

#include <algorithm>
#include <cmath>

#include "index/hnsw/walk.h"

namespace larder::index {
namespace {

// SplitMix64's step (Steele, Lea and Flood, 2014).
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Whether any of `rows` is nearer to `row` than `limit`; four at a time, as most that fail do early.
bool AnyNearer(const VectorRows& all, const float* row, const std::vector<const float*>& rows, float limit) {
  float distances[4];
  for (size_t i = 0; i < rows.size(); i += 4) {
    const size_t count = std::min<size_t>(4, rows.size() - i);
    all.kernels().batch(row, rows.data() + i, count, all.plain_floats(), distances);
    for (size_t j = 0; j < count; ++j) {
      if (distances[j] < limit) return true;
    }
  }
  return false;
}

}  // namespace

void SelectNeighbours(const VectorRows& rows, const std::vector<Candidate>& candidates, uint32_t max,
                      Scratch* scratch, std::vector<uint32_t>* chosen) {
  chosen->clear();
  if (candidates.size() < max) {
    for (const Candidate& candidate : candidates) chosen->push_back(candidate.id);
    return;
  }
  std::vector<const float*>& chosen_rows = scratch->plain_rows;
  chosen_rows.clear();
  for (const Candidate& candidate : candidates) {
    if (chosen->size() == max) return;
    float* const room = scratch->plain.data() + chosen->size() * rows.plain_floats();
    const float* row = rows.Plain(candidate.id, room);
    if (AnyNearer(rows, row, chosen_rows, candidate.distance)) continue;
    chosen->push_back(candidate.id);
    chosen_rows.push_back(row);
  }
}

int HnswBuilder::LevelOf(Vid vid) const {
  const double uniform = static_cast<double>((Mix(Mix(seed_) ^ vid) >> 11) + 1) * 0x1p-53;  // (0, 1]
  const double level = -std::log(uniform) / std::log(static_cast<double>(m_));
  return std::min(static_cast<int>(level), HnswGraph::kMaxLevel);
}

void HnswBuilder::Insert(uint32_t id, const float* vector, Scratch* scratch) {
  scratch->ReservePlain(rows_.plain_floats());
  rows_.Prepare(vector, &scratch->query);
  const int level = graph_.Level(id);
  if (HnswGraph::Entry entry = graph_.entry(); level <= entry.level) {
    InsertBelow(id, entry, scratch);
    return;
  }
  absl::MutexLock lock(&top_mutex_);
  const HnswGraph::Entry entry = graph_.entry();
  const bool linked = entry.level < 0 || InsertBelow(id, entry, scratch);
  if (linked && level > entry.level) graph_.SetEntry({id, level});
}

void HnswBuilder::FindNearest(Candidate start, int level, Scratch* scratch) const {
  const Reach reach{.least = ef_construction_, .most = ef_construction_};
  WalkLayer({graph_, rows_}, start, level, reach, [](uint32_t) { return true; }, scratch);
  RankPool(rows_, scratch);
}

bool HnswBuilder::InsertBelow(uint32_t id, HnswGraph::Entry entry, Scratch* scratch) {
  const int top = std::min(graph_.Level(id), entry.level);
  std::vector<std::vector<uint32_t>>& neighbours = scratch->neighbours;
  if (neighbours.size() <= static_cast<size_t>(top)) neighbours.resize(top + 1);
  Candidate nearest = Descend({graph_, rows_}, entry, top, scratch);
  for (int level = top; level >= 0; --level) {
    FindNearest(nearest, level, scratch);
    nearest = scratch->pool.front();
    // The paper takes m on layer 0 as well, half of what fits. With all, which is one or two more, walks
    // score a tenth fewer elements for the same recall, and building takes a seventh longer.
    SelectNeighbours(rows_, scratch->pool, graph_.max_links(level), scratch, &neighbours[level]);
  }
  if (const uint32_t twin = FindTwin(id, *scratch); twin != kNone) {
    const ElementLock lock(&graph_, twin);
    graph_.AppendDuplicate(twin, id);
    return false;
  }
  for (int level = 0; level <= top; ++level) Connect(id, level, neighbours[level], scratch);
  return true;
}

uint32_t HnswBuilder::FindTwin(uint32_t id, const Scratch& scratch) const {
  Candidate self{0, id};
  rows_.Distances(scratch.query, &id, 1, &self.distance);
  const auto [begin, end] = std::equal_range(
      scratch.pool.begin(), scratch.pool.end(), self,
      [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  for (auto it = begin; it != end; ++it) {
    if (rows_.Same(it->id, id)) return it->id;
  }
  return kNone;
}

void HnswBuilder::Connect(uint32_t id, int level, const std::vector<uint32_t>& neighbours, Scratch* scratch) {
  {
    const ElementLock lock(&graph_, id);
    graph_.StoreLinks(id, level, neighbours);
  }
  for (uint32_t neighbour : neighbours) {
    const ElementLock lock(&graph_, neighbour);
    if (!graph_.AppendLink(neighbour, level, id)) LinkBack(neighbour, level, id, scratch);
  }
}

// Chooses anew among the links of a full list and the new one.
void HnswBuilder::LinkBack(uint32_t from, int level, uint32_t to, Scratch* scratch) {
  uint32_t count = graph_.CopyLinks(from, level, scratch->links.data());
  scratch->links[count++] = to;
  const size_t floats = rows_.plain_floats();
  float* const room = scratch->plain.data() + count * floats;
  const float* self = rows_.Plain(from, room);
  std::vector<const float*>& plain = scratch->plain_rows;
  plain.resize(count);
  for (uint32_t i = 0; i < count; ++i) plain[i] = rows_.Plain(scratch->links[i], scratch->plain.data() + i * floats);
  rows_.kernels().batch(self, plain.data(), count, floats, scratch->distances.data());
  std::vector<Candidate>& candidates = scratch->pool;
  candidates.resize(count);
  for (uint32_t i = 0; i < count; ++i) candidates[i] = {scratch->distances[i], scratch->links[i]};
  std::sort(candidates.begin(), candidates.end(), Nearer);
  SelectNeighbours(rows_, candidates, graph_.max_links(level), scratch, &scratch->ids);
  graph_.StoreLinks(from, level, scratch->ids);
}

}  // namespace larder::index
