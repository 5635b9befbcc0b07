#include "engine/query_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/tree_space.h"
#include "engine/vector_space.h"
#include "index/recall/recall_table.h"
#include "storage/status_macros.h"

namespace larder {

using index::VidSet;

namespace {

// So few are compared by their best distances: short codes first would gain nothing.
constexpr uint64_t kExactMatches = 500;

// Comparing a match by its short code takes some 10 ns at 100 dimensions, 18 at 384; a walk under a filter one or
// two microseconds for each place in its list, hardly more on longer rows, whose graphs need fewer steps.
bool ScanIsCheaper(uint64_t matches, const index::IndexOptions& index, uint32_t ef) {
  const double row = std::max(1.0, index.dimension / 100.0);
  return static_cast<double>(matches) <= 150.0 * ef / row;
}

// A walk under a filter misses more than one among all rows does with the same list. A list that the caller chose
// stays as it is.
uint32_t FilteredEf(const SearchRequest& request, uint32_t ef) {
  return request.ef != 0 ? ef : std::min(index::kMaxEf, ef + ef / 2);
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
  if (!flat && !request.exact && scan.size() > kExactMatches) {
    params.filter = &scan;
    params.scan_filter = ScanIsCheaper(scan.size(), index.options(), ef);
    params.ef = params.scan_filter ? ef : FilteredEf(request, ef);
    out.plan = params.scan_filter ? "coded matches" : "filtered graph";
    out.ef = params.ef;
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
