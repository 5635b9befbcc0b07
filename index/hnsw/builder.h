// Links new elements into the graph.
#ifndef LARDER_INDEX_HNSW_BUILDER_H_
#define LARDER_INDEX_HNSW_BUILDER_H_

#include <cstdint>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "index/hnsw/graph.h"
#include "index/hnsw/scratch.h"

namespace larder::index {

// Thread-safe: any number of Insert calls run together, and beside walks. Borrows graph and rows.
class HnswBuilder {
 public:
  HnswBuilder(const IndexOptions& options, HnswGraph* graph, const VectorRows* rows)
      : graph_(*graph), rows_(*rows), ef_construction_(options.ef_construction), m_(options.m), seed_(options.seed) {}

  // The layer that the element of `vid` reaches: geometric with factor 1 / m, and depends on nothing
  // but vid and seed, so that it is the same however many threads build.
  int LevelOf(Vid vid) const;
  // Links a placed element, whose row is `vector`. A vector that is in the graph already is hung on its twin: by the
  // thousand, identical vectors would fill each other's lists and cut their region off.
  void Insert(uint32_t id, const float* vector, Scratch* scratch);

 private:
  // Finds the neighbours on every layer first and links afterwards, from layer 0 up, so that who
  // finds the element on a layer can leave it downwards. False if it was hung on a twin.
  bool InsertBelow(uint32_t id, HnswGraph::Entry entry, Scratch* scratch);
  // scratch->pool = the nearest on `level`, by the best distances, nearest first.
  void FindNearest(Candidate start, int level, Scratch* scratch) const;
  // A twin of `id` among scratch->pool, or kNone.
  uint32_t FindTwin(uint32_t id, const Scratch& scratch) const;
  void Connect(uint32_t id, int level, const std::vector<uint32_t>& neighbours, Scratch* scratch);
  void LinkBack(uint32_t from, int level, uint32_t to, Scratch* scratch);

  static constexpr uint32_t kNone = ~0u;
  HnswGraph& graph_;
  const VectorRows& rows_;
  const uint32_t ef_construction_, m_;
  const uint64_t seed_;
  absl::Mutex top_mutex_;  // one insertion at a time raises the graph
};

// The paper's heuristic (its algorithm 4, without extension): of `candidates`, nearest first, those
// that are nearer to the new element than to every one chosen before, at most `max`. All of them if
// there are fewer than `max`. Uses scratch->plain and ->plain_rows.
void SelectNeighbours(const VectorRows& rows, const std::vector<Candidate>& candidates, uint32_t max,
                      Scratch* scratch, std::vector<uint32_t>* chosen);

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_BUILDER_H_
