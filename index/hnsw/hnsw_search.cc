// HnswIndex's searches.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/batch_scorer.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/walk.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// A walk scores about so many elements for each place in its candidate list.
constexpr uint64_t kScoredPerPlace = 12;
// Up to so long a list, the sorted array beats the heaps.
constexpr size_t kLongestArray = 1024;

}  // namespace

absl::StatusOr<std::vector<Neighbor>> HnswIndex::Search(absl::Span<const float> query,
                                                        const SearchParams& params) const {
  if (params.k == 0) return absl::InvalidArgumentError("search: expected k of at least 1, found 0");
  ASSIGN_OR_RETURN(const std::vector<float> prepared, PrepareQuery(query, options_));
  absl::ReaderMutexLock room(&room_mutex_);
  return params.filter == nullptr ? SearchAll(prepared, params) : SearchFiltered(prepared, params);
}

// Tombstones take places in the candidate list: it is made longer in proportion, and doubled while
// they still leave fewer than k. Where a walk would cost as much as a scan, it is a scan.
std::vector<Neighbor> HnswIndex::SearchAll(const std::vector<float>& query,
                                           const SearchParams& params) const {
  const uint64_t count = count_.load(std::memory_order_acquire);
  const uint64_t live = std::max<uint64_t>(1, live_.load());
  uint64_t ef = std::max(params.ef, params.k);
  ef += ef * std::min(tombstones_.load(), 3 * live) / live;
  for (; ef * kScoredPerPlace < count; ef *= 2) {
    std::vector<Neighbor> found = Walk(query, params.k, ef, nullptr);
    if (found.size() >= std::min<uint64_t>(params.k, live_.load())) return found;
  }
  return Scan(query, params.k, nullptr);
}

// With few matches it is cheaper to score them all: a walk that admits m of n elements scores about
// kScoredPerPlace * ef * n / m, a scan of the matches m.
std::vector<Neighbor> HnswIndex::SearchFiltered(const std::vector<float>& query,
                                                const SearchParams& params) const {
  const uint64_t matches = params.filter->size();
  const double count = count_.load(std::memory_order_acquire);
  const size_t ef = std::max(params.ef, params.k);
  if (matches <= kScoredPerPlace * ef * count / std::max<double>(1, matches)) {
    return ScoreSet(query, params.k, *params.filter);
  }
  std::vector<Neighbor> found = Walk(query, params.k, ef, params.filter);
  if (found.size() < std::min<uint64_t>(params.k, matches)) {
    found = Walk(query, params.k, 2 * ef, params.filter);
  }
  return found;
}

std::vector<Neighbor> HnswIndex::Walk(const std::vector<float>& query, uint32_t k, size_t ef,
                                      const VidSet* filter) const {
  const HnswGraph::Entry entry = graph_.entry();
  std::vector<Neighbor> found;
  if (entry.level < 0) return found;
  const ScratchPool::Lease scratch = scratches_.Take();
  const Candidate start = Descend(graph_, query.data(), entry, 0, scratch.get());
  const auto admits = [&](uint32_t id) {
    return IsLive(id) && (filter == nullptr || filter->Contains(graph_.VidOf(id)));
  };
  if (filter == nullptr && ef <= kLongestArray) {
    WalkLayer(graph_, query.data(), start, 0, ef, scratch.get());
  } else {
    const auto admits_any = [&](uint32_t id) {
      while (id != kNone && !admits(id)) id = graph_.NextDuplicate(id);
      return id != kNone;
    };
    WalkAdmitted(graph_, query.data(), start, ef, admits_any, scratch.get());
  }
  for (const Candidate& candidate : scratch->pool) {
    for (uint32_t id = candidate.id; id != kNone && found.size() < k; id = graph_.NextDuplicate(id)) {
      if (admits(id)) found.push_back({graph_.VidOf(id), candidate.distance});
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<Neighbor> HnswIndex::Scan(const std::vector<float>& query, uint32_t k,
                                      const VidSet* filter) const {
  const uint32_t count = count_.load(std::memory_order_acquire);
  TopK top(k, count);
  BatchScorer scorer(graph_.kernels(), query, &top);
  for (uint32_t id = 0; id < count; ++id) {
    if (IsLive(id) && (filter == nullptr || filter->Contains(graph_.VidOf(id)))) {
      scorer.Add(graph_.VidOf(id), graph_.Vector(id));
    }
  }
  scorer.Flush();
  return std::move(top).Take();
}

std::vector<Neighbor> HnswIndex::ScoreSet(const std::vector<float>& query, uint32_t k,
                                          const VidSet& candidates) const {
  const uint32_t count = count_.load(std::memory_order_acquire);
  if (candidates.size() > count / 4) return Scan(query, k, &candidates);
  TopK top(k, candidates.size());
  BatchScorer scorer(graph_.kernels(), query, &top);
  std::vector<Vid> vids;  // looked up a batch at a time, so that insertions need not wait for all
  const auto score = [&] {
    absl::ReaderMutexLock lock(&ids_mutex_);
    for (Vid vid : vids) {
      if (const uint32_t id = Find(vid); id != kNone) scorer.AddFar(vid, graph_.Vector(id));
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
  absl::ReaderMutexLock room(&room_mutex_);
  return ScoreSet(prepared, k, candidates);
}

}  // namespace larder::index
