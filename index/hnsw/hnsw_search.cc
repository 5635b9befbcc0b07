// HnswIndex's searches.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/hnsw/filtered_walk.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/walk.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// A walk scores about so many elements for each place in its candidate list.
constexpr uint64_t kScoredPerPlace = 12;
// While a walk under a filter scores a row, a scan scores so many.
constexpr uint64_t kScansARow = 10;
// How many of what a walk found are ranked by the best distances: estimates from 4 bits a dimension
// misplace the k-th nearest by some places, more the more crowded it is there (that is, the longer a
// list is needed), fewer the more dimensions there are for the errors to cancel over. Measured on GloVe
// (100) and sentence vectors (384): more gain nothing.
size_t Ranked(size_t k, size_t ef, size_t dimension) {
  const double misplaced = static_cast<double>(k) + static_cast<double>(ef) / 4;
  const double spread = std::clamp(std::sqrt(100.0 / static_cast<double>(dimension)), 0.5, 1.0);
  return k + static_cast<size_t>(misplaced * spread);
}

// What `ef` asks for: at least its half, at most four times it, and between the two as the query needs. The slack is
// such that about `ef` places are needed on average, where measured (GloVe, 100 dimensions; sentence vectors, 384): at
// equal recall walks score 0.6 to 0.9 of the elements that a fixed list scores.
Reach ReachOf(uint32_t k, size_t ef) {
  const double places = std::log2(static_cast<double>(ef) / static_cast<double>(std::min<size_t>(k, ef)));
  return {.least = std::max<size_t>(k, ef / 2), .most = 4 * ef, .k = k, .slack = static_cast<float>(0.06 + 0.035 * places)};
}

// Scores rows by their best distances, in batches.
class RowScorer {
 public:
  RowScorer(const HnswGraph& graph, const VectorRows& rows, const VectorRows::Query& query, TopK* top)
      : graph_(graph), rows_(rows), query_(query), top_(*top) {}
  void Add(uint32_t id) {
    ids_[count_] = id;
    if (++count_ == kBatch) Flush();
  }
  void AddFar(uint32_t id) {  // likely not in the cache
    rows_.Prefetch(rows_.WalkRow(id));
    Add(id);
  }
  void Flush() {
    rows_.Distances(query_, ids_, count_, distances_);
    for (size_t i = 0; i < count_; ++i) {
      if (distances_[i] <= top_.worst()) top_.Push({graph_.VidOf(ids_[i]), distances_[i]});
    }
    count_ = 0;
  }

 private:
  static constexpr size_t kBatch = 32;
  const HnswGraph& graph_;
  const VectorRows& rows_;
  const VectorRows::Query& query_;
  TopK& top_;
  size_t count_ = 0;
  uint32_t ids_[kBatch];
  float distances_[kBatch];
};

}  // namespace

absl::StatusOr<std::vector<Neighbor>> HnswIndex::Search(absl::Span<const float> query,
                                                        const SearchParams& params) const {
  if (params.k == 0) return absl::InvalidArgumentError("search: expected k of at least 1, found 0");
  ASSIGN_OR_RETURN(const std::vector<float> prepared, PrepareQuery(query, options_));
  const ScratchPool::Lease scratch = scratches_.Take();
  absl::ReaderMutexLock room(&room_mutex_);
  rows_.Prepare(prepared.data(), &scratch->query);
  return params.filter == nullptr ? SearchAll(params, scratch.get()) : SearchFiltered(params, scratch.get());
}

// Tombstones take places in the candidate list: it is made longer in proportion, and doubled while
// they still leave fewer than k. Where a walk would cost as much as a scan, it is a scan.
std::vector<Neighbor> HnswIndex::SearchAll(const SearchParams& params, Scratch* scratch) const {
  const uint64_t count = count_.load(std::memory_order_acquire);
  const uint64_t live = std::max<uint64_t>(1, live_.load());
  uint64_t ef = std::max(params.ef, params.k);
  ef += ef * std::min(tombstones_.load(), 3 * live) / live;
  for (; ef * kScoredPerPlace < count; ef *= 2) {
    std::vector<Neighbor> found = Walk(params.k, ef, nullptr, scratch);
    if (found.size() >= std::min<uint64_t>(params.k, live_.load())) return found;
  }
  return Scan(scratch->query, params.k, nullptr);
}

// Few matches are all compared exactly, as a walk would score as many.
std::vector<Neighbor> HnswIndex::SearchFiltered(const SearchParams& params, Scratch* scratch) const {
  const size_t ef = std::max(params.ef, params.k);
  if (params.scan_filter) return ScanMatches(params, scratch);
  if (params.filter->size() <= kScoredPerPlace * ef) return ScoreSet(scratch->query, params.k, *params.filter);
  MarkMatches(*params.filter, scratch);
  std::vector<Neighbor> found = Walk(params.k, ef, params.filter, scratch);
  if (found.size() >= std::min<uint64_t>(params.k, params.filter->size())) return found;
  return ScanMatches(params, scratch);
}

void HnswIndex::MarkMatches(const VidSet& filter, Scratch* scratch) const {
  MatchBits& matches = scratch->matches;
  {
    absl::ReaderMutexLock lock(&ids_mutex_);
    matches.Clear(graph_.capacity());  // links may lead to elements that come meanwhile
    id_of_.ForEachOf(filter, [&](uint32_t id, uint64_t bits) { matches.Set(id, bits); });
  }
  graph_.ForEachDuplicate([&](uint32_t duplicate, uint32_t first) {
    if (matches.Has(duplicate)) matches.Set(first);
  });
}

std::vector<Neighbor> HnswIndex::Walk(uint32_t k, size_t ef, const VidSet* filter, Scratch* scratch) const {
  const HnswGraph::Entry entry = graph_.entry();
  std::vector<Neighbor> found;
  if (entry.level < 0) return found;
  const WalkedGraph graph{graph_, rows_};
  // With a prefix the distances of a walk say too little of when to end it, and `ef` is how many are ranked.
  const Reach reach = options_.prefix > 0 ? Reach{.least = ef, .most = ef} : ReachOf(k, ef);
  const Candidate start = Descend(graph, entry, 0, scratch);
  const auto admits = [&](uint32_t id) {
    return IsLive(id) && (filter == nullptr || filter->Contains(graph_.VidOf(id)));
  };
  if (filter != nullptr) {
    const uint64_t matches = filter->size();
    const double share = static_cast<double>(matches) / std::max(1.0, static_cast<double>(count_.load()));
    if (!WalkMatches(graph, start, reach, share, matches / kScansARow, scratch)) return found;
  } else if (tombstones_.load() == 0) {
    WalkLayer(graph, start, 0, reach, [](uint32_t) { return true; }, scratch);
  } else {
    const auto admits_any = [&](uint32_t id) {
      while (id != kNone && !admits(id)) id = graph_.NextDuplicate(id);
      return id != kNone;
    };
    WalkLayer(graph, start, 0, reach, admits_any, scratch);
  }
  CutPool(options_.prefix > 0 ? ef : Ranked(k, ef, options_.dimension), scratch);
  for (const Candidate& candidate : scratch->pool) graph_.PrefetchTail(candidate.id);
  RankPool(rows_, scratch);
  for (const Candidate& candidate : scratch->pool) {
    for (uint32_t id = candidate.id; id != kNone && found.size() < k; id = graph_.NextDuplicate(id)) {
      if (admits(id)) found.push_back({graph_.VidOf(id), candidate.distance});
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<Neighbor> HnswIndex::ScanMatches(const SearchParams& params, Scratch* scratch) const {
  constexpr size_t kBatch = 128;  // fetched while the batch before is scored
  const size_t ef = std::max(params.ef, params.k);
  TopK nearest(options_.prefix > 0 ? ef : Ranked(params.k, ef, options_.dimension), params.filter->size());
  uint32_t ids[2][kBatch];
  const uint8_t* rows[2][kBatch];
  float distances[kBatch];
  size_t counts[2] = {0, 0}, now = 0;
  const auto turn = [&] {
    now = 1 - now;
    rows_.Estimate(scratch->query, rows[now], counts[now], distances);
    for (size_t i = 0; i < counts[now]; ++i) {
      if (distances[i] <= nearest.worst() && IsLive(ids[now][i])) nearest.Push({ids[now][i], distances[i]});
    }
    counts[now] = 0;
  };
  {
    absl::ReaderMutexLock lock(&ids_mutex_);
    id_of_.ForEachOf(*params.filter, [&](uint32_t id, uint64_t bits) {
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t one = id + static_cast<uint32_t>(std::countr_zero(bits));
        ids[now][counts[now]] = one;
        rows[now][counts[now]] = rows_.WalkRow(one);
        rows_.Prefetch(rows[now][counts[now]]);
        if (++counts[now] == kBatch) turn();
      }
    });
  }
  turn();
  turn();
  scratch->pool.clear();
  for (const Neighbor& one : std::move(nearest).Take()) scratch->pool.push_back({one.distance, static_cast<uint32_t>(one.vid)});
  RankPool(rows_, scratch);
  std::vector<Neighbor> found;
  for (const Candidate& one : scratch->pool) found.push_back({graph_.VidOf(one.id), one.distance});
  std::sort(found.begin(), found.end());
  if (found.size() > params.k) found.resize(params.k);
  return found;
}

std::vector<Neighbor> HnswIndex::Scan(const Query& query, uint32_t k, const VidSet* filter) const {
  const uint32_t count = count_.load(std::memory_order_acquire);
  TopK top(k, count);
  RowScorer scorer(graph_, rows_, query, &top);
  for (uint32_t id = 0; id < count; ++id) {
    if (IsLive(id) && (filter == nullptr || filter->Contains(graph_.VidOf(id)))) scorer.Add(id);
  }
  scorer.Flush();
  return std::move(top).Take();
}

std::vector<Neighbor> HnswIndex::ScoreSet(const Query& query, uint32_t k, const VidSet& candidates) const {
  const uint32_t count = count_.load(std::memory_order_acquire);
  if (candidates.size() > count / 4) return Scan(query, k, &candidates);
  TopK top(k, candidates.size());
  RowScorer scorer(graph_, rows_, query, &top);
  std::vector<Vid> vids;  // looked up a batch at a time, so that insertions need not wait for all
  const auto score = [&] {
    absl::ReaderMutexLock lock(&ids_mutex_);
    for (Vid vid : vids) {
      if (const uint32_t id = Find(vid); id != kNone) scorer.AddFar(id);
    }
    vids.clear();
  };
  candidates.ForEach([&](Vid vid) {
    vids.push_back(vid);
    if (vids.size() == 256) score();
    return true;
  });
  score();
  scorer.Flush();
  return std::move(top).Take();
}

absl::StatusOr<std::vector<Neighbor>> HnswIndex::Score(absl::Span<const float> query,
                                                       const VidSet& candidates, uint32_t k) const {
  if (k == 0) return absl::InvalidArgumentError("score: expected k of at least 1, found 0");
  ASSIGN_OR_RETURN(const std::vector<float> prepared, PrepareQuery(query, options_));
  const ScratchPool::Lease scratch = scratches_.Take();
  absl::ReaderMutexLock room(&room_mutex_);
  rows_.Prepare(prepared.data(), &scratch->query);
  return ScoreSet(scratch->query, k, candidates);
}

}  // namespace larder::index
