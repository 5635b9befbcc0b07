// How a search is answered: which parts of an index look at what, decided by how many rows match.
#ifndef LARDER_ENGINE_QUERY_PLAN_H_
#define LARDER_ENGINE_QUERY_PLAN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/tree/tree_index.h"
#include "index/vector_index.h"
#include "index/vid_set.h"
#include "larder/types.h"

namespace larder {

struct Candidates {
  std::vector<index::Neighbor> neighbors;
  const char* plan = "";
  uint32_t ef = 0;     // of a graph walk
  bool exact = false;  // all that matches was compared
  std::optional<double> recall;  // of a tree: measured
  index::TreeSearchStats io;
};

// The min(k, matches) nearest, by the cheapest plan; `matches` null = all. `ef`: of a graph walk.
absl::StatusOr<Candidates> FindCandidates(const index::VectorIndex& index, absl::Span<const float> query,
                                          const SearchRequest& request, uint32_t ef, const index::VidSet* matches);

}  // namespace larder

#endif  // LARDER_ENGINE_QUERY_PLAN_H_
