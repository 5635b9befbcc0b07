#include "index/hnsw/filtered_walk.h"

#include <algorithm>
#include <utility>

namespace larder::index {
namespace {

constexpr uint32_t kNone = ~0u;
// Matches that a walk begins at beside the one it descended to.
constexpr size_t kSeeds = 32;
// So many matching neighbours are enough, as a share of a full list; fewer where an element has half of them itself.
double Enough(double share) { return share >= 0.4 ? 0.5 : 0.75; }
// With fewer than this share, the walk goes on through what does not match.
constexpr double kNextToNothing = 0.1;
// It does so for so many elements, as a share of the places that it must fill.
constexpr double kMostDetours = 0.5;
// Lists fetched ahead of the one that is read.
constexpr size_t kAhead = 4;

class MatchWalk {
 public:
  MatchWalk(const WalkedGraph& graph, size_t ef, double share, Scratch* scratch)
      : graph_(graph), scratch_(*scratch), list_(graph.links.max_links(0)),
        enough_(static_cast<size_t>(Enough(share) * static_cast<double>(list_))),
        few_(static_cast<size_t>(kNextToNothing * static_cast<double>(list_))),
        known_(std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(list_)))),
        detours_(static_cast<size_t>(kMostDetours * static_cast<double>(ef))) {
    for (Expansion& expansion : scratch_.expansions) {
      expansion.ids.resize(std::max(expansion.ids.size(), 3 * list_ + kSeeds));
      expansion.rows.resize(expansion.ids.size());
    }
    scratch_.distances.resize(std::max(scratch_.distances.size(), 3 * list_ + kSeeds));
    scratch_.visited.Clear(graph.links.capacity());
    scratch_.bridges.Clear(graph.links.capacity());
  }

  bool Run(Candidate start, const Reach& reach, size_t most);

 private:
  bool Matches(uint32_t id) const { return scratch_.matches.Has(id); }
  void Begin(Candidate start, const Reach& reach);
  void Gather(uint32_t id, Expansion* expansion);
  // Adds the matching neighbours of what `expansion` could be reached through, until there are enough.
  void LookThrough(const uint32_t* bridges, size_t count, size_t found, Expansion* expansion);
  void Fetch(Expansion* expansion);
  void Score(const Expansion& expansion);

  const WalkedGraph& graph_;
  Scratch& scratch_;
  const size_t list_, enough_, few_, known_;
  size_t detours_;
};

void MatchWalk::Fetch(Expansion* expansion) {
  expansion->count = scratch_.visited.InsertNew(expansion->ids.data(), expansion->count);
  for (size_t i = 0; i < expansion->count; ++i) {
    expansion->rows[i] = graph_.rows.WalkRow(expansion->ids[i]);
    graph_.rows.Prefetch(expansion->rows[i]);
  }
}

void MatchWalk::Score(const Expansion& expansion) {
  float* distances = scratch_.distances.data();
  graph_.rows.Estimate(scratch_.query, expansion.rows.data(), expansion.count, distances);
  const float worst = scratch_.frontier.worst();
  for (size_t i = 0; i < expansion.count; ++i) {
    if (distances[i] < worst) scratch_.frontier.Push({distances[i], expansion.ids[i]}, Matches(expansion.ids[i]));
  }
  scratch_.frontier.Tighten();
}

void MatchWalk::Begin(Candidate start, const Reach& reach) {
  uint32_t first = start.id;
  scratch_.visited.InsertNew(&first, 1);
  scratch_.frontier.Start(start.distance, scratch_.query.offset, reach);
  scratch_.frontier.Push(start, Matches(start.id));
  Expansion& seeds = scratch_.expansions[0];
  scratch_.matches.Sample(kSeeds, &scratch_.seeds);
  seeds.count = std::min(scratch_.seeds.size(), seeds.ids.size());
  std::copy_n(scratch_.seeds.begin(), seeds.count, seeds.ids.begin());
  Fetch(&seeds);
  Score(seeds);
}

void MatchWalk::LookThrough(const uint32_t* bridges, size_t count, size_t found, Expansion* expansion) {
  uint32_t* links = scratch_.ids.data();
  for (size_t i = 0; i < std::min(count, kAhead); ++i) graph_.links.PrefetchLinks(bridges[i]);
  for (size_t i = 0; i < count && found < enough_; ++i) {
    if (i + kAhead < count) graph_.links.PrefetchLinks(bridges[i + kAhead]);
    uint32_t bridge = bridges[i];
    if (scratch_.bridges.InsertNew(&bridge, 1) == 0) {  // what lies behind it was seen
      found += known_;
      continue;
    }
    const size_t before = expansion->count, number = graph_.links.CopyLinks(bridge, 0, links);
    for (size_t j = 0; j < number; ++j) {
      expansion->ids[expansion->count] = links[j];
      expansion->count += Matches(links[j]);
    }
    found += expansion->count - before;
  }
}

void MatchWalk::Gather(uint32_t id, Expansion* expansion) {
  uint32_t* ids = expansion->ids.data();
  uint32_t* others = scratch_.links.data();
  const size_t number = graph_.links.CopyLinks(id, 0, others);
  size_t bridges = 0;
  expansion->count = 0;
  for (size_t i = 0; i < number; ++i) {  // matches to one list, the others stay
    const uint32_t link = others[i];
    const bool match = Matches(link);
    ids[expansion->count] = link;
    others[bridges] = link;
    expansion->count += match;
    bridges += !match;
  }
  if (expansion->count < enough_ && bridges > 0) LookThrough(others, bridges, expansion->count, expansion);
  if (expansion->count < few_ && detours_ > 0) {
    --detours_;
    std::copy_n(others, bridges, ids + expansion->count);
    expansion->count += bridges;
  }
  Fetch(expansion);
}

bool MatchWalk::Run(Candidate start, const Reach& reach, size_t most) {
  scratch_.pool.clear();
  Begin(start, reach);
  uint32_t next = kNone;
  Expansion* gathered = &scratch_.expansions[0];
  Expansion* before = &scratch_.expansions[1];
  gathered->count = before->count = 0;
  for (;;) {  // as WalkLayer: three steps of three elements overlap
    Candidate popped{0, kNone};
    if (scratch_.frontier.Pop(&popped)) graph_.links.PrefetchLinks(popped.id);
    gathered->count = 0;
    if (next != kNone) Gather(next, gathered);
    if (before->count > 0) Score(*before);
    if (scratch_.visited.size() > most) return false;
    if (popped.id == kNone && next == kNone && before->count == 0) break;
    next = popped.id;
    std::swap(gathered, before);
  }
  scratch_.frontier.Results(&scratch_.pool);
  return true;
}

}  // namespace

bool WalkMatches(const WalkedGraph& graph, Candidate start, const Reach& reach, double share, size_t most,
                 Scratch* scratch) {
  return MatchWalk(graph, reach.least, share, scratch).Run(start, reach, most);
}

}  // namespace larder::index
