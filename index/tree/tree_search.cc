#include "index/tree/tree_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "index/kernels/half.h"
#include "index/top_k.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint32_t kMostK = 10'000;
// An extent may be collected between the look at its pointer and the read: NotFound, look again.
constexpr int kAttempts = 10;
// Leaves below the nodes that are opened on each level, for each that is wanted, and at least.
constexpr size_t kWide = 8, kLeastWide = 512;

bool BetterEstimate(const TreeCandidate& a, const TreeCandidate& b) {
  return a.estimate != b.estimate ? a.estimate < b.estimate : a.place.vid < b.place.vid;
}

}  // namespace

absl::StatusOr<TreeReply> TreeIndex::Search(absl::Span<const float> query, const TreeSearchParams& params) const {
  if (params.k == 0 || params.k > kMostK) {
    return absl::InvalidArgumentError(absl::StrCat("tree search: k is ", params.k, ", expected 1 to ", kMostK));
  }
  const TreeOptions& options = header_.options;
  RETURN_IF_ERROR(CheckVector(query, options.dimension, options.metric));
  std::vector<float> canonical(query.size());
  Canonicalize(query, options.metric, canonical.data());
  const ProbeRule rule = RuleFor(params);
  absl::Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    TreeSearch search(*this, canonical.data(), params.filter);
    // Both copies of a vid may be kept.
    status = search.Scan(rule.postings, rule.gap, size_t{2} * rule.candidates);
    if (status.ok()) {
      absl::StatusOr<std::vector<Neighbor>> neighbors = search.Rank(search.TakeCandidates(), params.k, rule.candidates);
      if (neighbors.ok()) return TreeReply{*std::move(neighbors), search.stats()};
      status = neighbors.status();
    }
    if (!absl::IsNotFound(status)) break;
  }
  return status;
}

TreeSearch::TreeSearch(const TreeIndex& index, const float* query, const VidSet* filter)
    : index_(index), query_(query), filter_(filter) {
  index_.code_.Prepare(query, &prepared_);
}

absl::Status TreeSearch::Scan(uint32_t postings, float gap, size_t keep) {
  keep_ = keep;
  heap_.reserve(keep);
  CodeQuery centroid_query;
  index_.centroid_code_->Prepare(query_, &centroid_query);
  std::vector<storage::ExtentPointer> pointers;
  std::vector<uint32_t> nodes;
  std::vector<std::shared_ptr<const std::string>> deltas;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    std::vector<TreeNodes::Near> near;
    index_.nodes_.Nearest(centroid_query, postings, std::max<size_t>(kWide * postings, kLeastWide), &near);
    for (const TreeNodes::Near& leaf : near) {
      const float farther = (leaf.distance - near[0].distance) / std::max(std::abs(near[0].distance), 1e-20f);
      if (farther > gap) break;
      const CountedPointer& posting = index_.postings_[leaf.node];
      const auto delta = index_.deltas_.find(leaf.node);
      const bool changed = delta != index_.deltas_.end() && delta->second.packed != nullptr;
      if (posting.count == 0 && !changed) continue;
      if (posting.count > 0) positions_.push_back(gaps_.size());
      if (posting.count > 0) pointers.push_back(posting.pointer);
      nodes.push_back(leaf.node);
      gaps_.push_back(farther);
      deltas.push_back(changed ? delta->second.packed : nullptr);
    }
  }
  absl::Status status;
  const auto scan = [&](absl::string_view bytes, size_t rank) {
    status.Update(ScanPosting(bytes, nodes[rank], static_cast<uint32_t>(rank), gaps_[rank]));
  };
  index_.extents_->Stream(pointers, [&](size_t i, absl::StatusOr<std::string> bytes) {
    status.Update(bytes.status());
    if (!status.ok()) return false;
    ++stats_.reads;
    stats_.bytes += bytes->size();
    scan(*bytes, positions_[i]);
    return status.ok();
  });
  for (size_t rank = 0; rank < deltas.size() && status.ok(); ++rank) {
    if (deltas[rank] != nullptr) scan(*deltas[rank], rank);
  }
  stats_.rounds += !pointers.empty();
  stats_.postings = static_cast<uint32_t>(pointers.size());
  return status;
}

absl::Status TreeSearch::ScanPosting(absl::string_view bytes, uint32_t node, uint32_t rank, float gap) {
  ASSIGN_OR_RETURN(const Posting posting, Posting::Parse(index_.code_, bytes, absl::StrCat("posting of node ", node)));
  if (posting.anchor() >= index_.header_.anchors) {
    return absl::DataLossError(absl::StrCat("posting of node ", node, ": anchor ", posting.anchor()));
  }
  stats_.entries += posting.entries();
  const PostingCode::AnchorTerms terms = index_.code_.Against(
      prepared_, index_.anchor(posting.anchor()).data());
  float estimates[kBlockCodes];
  absl::ReaderMutexLock lock(&index_.mutex_);  // for removed_
  for (size_t b = 0; b < posting.blocks(); ++b) {
    index_.code_.EstimateBlock(prepared_, terms, posting.block(b), estimates);
    for (size_t lane = 0; lane < posting.lanes(b); ++lane) {
      if (heap_.size() == keep_ && estimates[lane] >= heap_.front().estimate) continue;
      const EntryPlace place = posting.place(b * kBlockCodes + lane);
      if (filter_ != nullptr && !filter_->Contains(place.vid)) continue;
      if (index_.removed_.Contains(place.vid)) continue;
      Keep({estimates[lane], index_.code_.ErrorBound(prepared_, terms, posting.block(b), lane), rank, gap, place});
    }
  }
  return absl::OkStatus();
}

void TreeSearch::Keep(const TreeCandidate& candidate) {
  if (heap_.size() == keep_) {
    std::pop_heap(heap_.begin(), heap_.end(), BetterEstimate);
    heap_.back() = candidate;
  } else {
    heap_.push_back(candidate);
  }
  std::push_heap(heap_.begin(), heap_.end(), BetterEstimate);
}

std::vector<TreeCandidate> TreeSearch::TakeKept() {
  std::sort(heap_.begin(), heap_.end(), BetterEstimate);
  return std::move(heap_);
}

std::vector<TreeCandidate> TreeSearch::TakeCandidates() {
  std::vector<TreeCandidate> candidates = TakeKept();
  absl::flat_hash_set<Vid> seen;
  std::erase_if(candidates, [&seen](const TreeCandidate& c) { return !seen.insert(c.place.vid).second; });
  return candidates;
}

absl::StatusOr<std::vector<Neighbor>> TreeSearch::Rank(std::vector<TreeCandidate> candidates, uint32_t k, size_t most) {
  if (candidates.size() > most) candidates.resize(most);
  if (candidates.size() > k) {
    // Whose lower bound is above the k-th upper bound is not among the k nearest, as far as bounds hold.
    std::vector<float> uppers;
    for (const TreeCandidate& candidate : candidates) uppers.push_back(candidate.estimate + candidate.error);
    std::nth_element(uppers.begin(), uppers.begin() + (k - 1), uppers.end());
    const float limit = uppers[k - 1];
    std::erase_if(candidates, [limit](const TreeCandidate& c) { return c.estimate - c.error > limit; });
  }
  std::vector<Neighbor> ranked;
  RETURN_IF_ERROR(ReadPages(candidates, &ranked));
  stats_.candidates = static_cast<uint32_t>(candidates.size());
  TopK best(k, ranked.size());
  for (const Neighbor& neighbor : ranked) best.Push(neighbor);
  return std::move(best).Take();
}

absl::Status TreeSearch::ReadPages(absl::Span<const TreeCandidate> candidates, std::vector<Neighbor>* ranked) {
  struct Wanted {
    storage::ExtentPointer page;
    uint32_t position;
    const TreeCandidate* candidate;
  };
  std::vector<Wanted> wanted;
  std::vector<std::pair<std::string, const TreeCandidate*>> in_memory;
  {
    absl::ReaderMutexLock lock(&index_.mutex_);
    for (const TreeCandidate& c : candidates) {
      ASSIGN_OR_RETURN(const FoundRow row, index_.FindRow(c.place));
      if (row.open != nullptr) in_memory.emplace_back(*row.open, &c);
      if (row.page.length > 0) wanted.push_back({row.page, row.position, &c});
    }
  }
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) {
    return a.page.file != b.page.file ? a.page.file < b.page.file : a.page.offset < b.page.offset;
  });
  std::vector<storage::ExtentPointer> pointers;
  std::vector<size_t> first;  // of each page's wanted
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i > 0 && wanted[i - 1].page == wanted[i].page) continue;
    pointers.push_back(wanted[i].page);
    first.push_back(i);
  }
  first.push_back(wanted.size());
  const TreeOptions& options = index_.header_.options;
  const HalfBatch halves = SelectHalfKernel(FormOf(options.metric));
  const DistanceKernels floats = SelectKernels(FormOf(options.metric));
  const auto score = [&](const uint8_t* row, const TreeCandidate& candidate) {
    const uint8_t* numbers = index_.pages_.Numbers(row);
    float distance;
    if (options.element == RowElement::kF16) {
      halves(query_, &numbers, 1, options.dimension, &distance);
    } else {
      const float* values = reinterpret_cast<const float*>(numbers);
      floats.batch(query_, &values, 1, options.dimension, &distance);
    }
    ranked->push_back({candidate.place.vid, distance});
  };
  for (const auto& [row, candidate] : in_memory) score(reinterpret_cast<const uint8_t*>(row.data()), *candidate);
  absl::Status status;
  index_.extents_->Stream(pointers, [&](size_t i, absl::StatusOr<std::string> page) {
    status.Update(page.status());
    for (size_t w = first[i]; status.ok() && w < first[i + 1]; ++w) {
      const EntryPlace& place = wanted[w].candidate->place;
      const absl::StatusOr<const uint8_t*> row = index_.pages_.Row(*page, wanted[w].position, place.vid);
      status.Update(row.status());
      if (row.ok()) score(*row, *wanted[w].candidate);
    }
    return status.ok();
  });
  stats_.reads += static_cast<uint32_t>(pointers.size());
  stats_.bytes += pointers.size() * index_.pages_.page_bytes();
  stats_.rounds += !pointers.empty();
  return status;
}

}  // namespace larder::index
