// One search of a TreeIndex, in its steps.
#ifndef LARDER_INDEX_TREE_TREE_SEARCH_H_
#define LARDER_INDEX_TREE_TREE_SEARCH_H_

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "index/tree/posting.h"
#include "index/tree/tree_index.h"

namespace larder::index {

// What a scan keeps of an entry.
struct TreeCandidate {
  float estimate = 0, error = 0;
  uint32_t rank = 0;  // of its posting: 0 is the nearest leaf's
  float gap = 0;      // of its posting (ProbeRule)
  EntryPlace place;
};

// Single use, single-threaded; borrows the index and the canonical query.
class TreeSearch {
 public:
  TreeSearch(const TreeIndex& index, const float* query, const VidSet* filter);

  // First round: reads the postings of the nearest leaves, at most `postings` and none beyond `gap`, and keeps
  // the `keep` best entries by estimate.
  absl::Status Scan(uint32_t postings, float gap, size_t keep);
  // Of the leaves that Scan looked at, ascending.
  const std::vector<float>& gaps() const { return gaps_; }
  // What was kept, best estimate first; a vid may be there twice.
  std::vector<TreeCandidate> TakeKept();
  // The same, each vid once.
  std::vector<TreeCandidate> TakeCandidates();
  // Second round: of `candidates`, those that the bounds leave room for among the k nearest, at most `most`.
  absl::StatusOr<std::vector<Neighbor>> Rank(std::vector<TreeCandidate> candidates, uint32_t k, size_t most);

  const TreeSearchStats& stats() const { return stats_; }

 private:
  absl::Status ScanPosting(absl::string_view bytes, uint32_t node, uint32_t rank, float gap);
  void Keep(const TreeCandidate& candidate);
  absl::Status ReadPages(absl::Span<const TreeCandidate> candidates, std::vector<Neighbor>* ranked);

  const TreeIndex& index_;
  const float* const query_;
  const VidSet* const filter_;
  PostingQuery prepared_;
  size_t keep_ = 0;
  std::vector<float> gaps_;
  std::vector<size_t> positions_;  // in gaps_, of each posting read
  std::vector<TreeCandidate> heap_;  // the worst estimate in front
  TreeSearchStats stats_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_SEARCH_H_
