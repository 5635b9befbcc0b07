#include "engine/query_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/tree_space.h"
#include "engine/vector_space.h"
#include "storage/status_macros.h"

namespace larder {

using index::VidSet;

namespace {

// Scanning m matches costs m distances. A graph walk that admits only matches must see about
// N / m times as many nodes as one that admits all, which sees about 20 * ef. So the scan wins up to
// m^2 = 20 * ef * N.
bool ScanIsCheaper(uint64_t matches, uint64_t all, uint32_t ef) {
  return static_cast<double>(matches) * static_cast<double>(matches) <= 20.0 * ef * static_cast<double>(all);
}

absl::StatusOr<Candidates> FindInTree(const TreeSpace& tree, absl::Span<const float> query,
                                      const SearchRequest& request, const VidSet* matches) {
  ASSIGN_OR_RETURN(TreeAnswer answer, tree.Answer(query, {request.k, request.target_recall, request.exact, matches}));
  return Candidates{std::move(answer.neighbors), answer.plan, 0, answer.exact, answer.recall, answer.io};
}

}  // namespace

absl::StatusOr<Candidates> FindCandidates(const index::VectorIndex& index, absl::Span<const float> query,
                                          const SearchRequest& request, uint32_t ef, const VidSet* matches) {
  if (index.options().kind == index::Kind::kTree) {
    return FindInTree(static_cast<const TreeSpace&>(index), query, request, matches);
  }
  Candidates out;
  const bool flat = index.options().kind == index::Kind::kFlat;
  index::SearchParams params{request.k, ef, nullptr};
  if (matches == nullptr && (flat || !request.exact)) {
    out.exact = request.exact || !IsApproximate(index);
    out.plan = !flat ? "graph" : out.exact ? "flat" : "prefix";
    out.ef = out.exact ? 0 : ef;
    if (out.exact) params.ef = std::numeric_limits<uint32_t>::max();
    ASSIGN_OR_RETURN(out.neighbors, index.Search(query, params));
    return out;
  }
  const VidSet everything = matches == nullptr ? index.LiveVids() : VidSet();
  const VidSet& scan = matches == nullptr ? everything : *matches;
  if (!flat && !request.exact && !ScanIsCheaper(scan.size(), index.Stats().live, params.ef)) {
    params.filter = &scan;
    out.plan = "filtered graph";
    out.ef = ef;
    ASSIGN_OR_RETURN(out.neighbors, index.Search(query, params));
    if (out.neighbors.size() >= std::min<uint64_t>(request.k, scan.size())) return out;
  }
  // The contract is min(k, matches): where the graph came short, the matches are scored.
  out.plan = "matches";
  out.ef = 0;
  out.exact = true;
  ASSIGN_OR_RETURN(out.neighbors, index.Score(query, scan, request.k));
  return out;
}

}  // namespace larder
