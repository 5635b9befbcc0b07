#include "engine/tree_space.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/top_k.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using index::Neighbor;
using index::Vid;
using index::VidSet;

constexpr size_t kRowsAtOnce = 256;
// So many matches are read and compared one by one: about the time of a tree's two rounds.
constexpr uint64_t kScanMatches = 1000;
constexpr float kDefaultRecall = 0.95f;
// A filter that few pass leaves little in each posting: then more are read, at most so many times as many.
constexpr double kMostWidening = 16;
constexpr uint32_t kLeastPostings = 24;  // of a tree that was not measured

index::IndexOptions OptionsOf(uint32_t dimension, index::Metric metric) {
  index::IndexOptions options;
  options.kind = index::Kind::kTree;
  options.dimension = dimension;
  options.metric = metric;
  return options;
}

void Sum(const index::TreeSearchStats& more, index::TreeSearchStats* stats) {
  stats->rounds += more.rounds;
  stats->reads += more.reads;
  stats->bytes += more.bytes;
  stats->postings += more.postings;
  stats->entries += more.entries;
  stats->candidates += more.candidates;
}

}  // namespace

TreeSpace::TreeSpace(const StoredRows& rows, index::Metric metric, std::unique_ptr<index::TreeIndex> tree, VidSet live,
                     absl::Status damage)
    : rows_(rows), options_(OptionsOf(rows.dimension(), metric)), tree_(std::move(tree)), live_(std::move(live)),
      damage_(std::move(damage)) {}

absl::Status TreeSpace::damage() const {
  absl::ReaderMutexLock lock(&mutex_);
  return damage_;
}

const index::ProbeRule* TreeSpace::RuleFor(double target_recall) const {
  const auto& rules = tree_->header().rules;
  for (const index::ProbeRule& rule : rules) {
    if (rule.recall >= static_cast<float>(target_recall)) return &rule;
  }
  return rules.empty() ? nullptr : &rules.back();
}

absl::StatusOr<TreeAnswer> TreeSpace::Answer(absl::Span<const float> query, const TreeQuery& request) const {
  const bool few = request.matches != nullptr && request.matches->size() <= std::max<uint64_t>(kScanMatches, request.k);
  if (request.exact || few || !damage().ok()) return Scan(query, request);
  absl::StatusOr<TreeAnswer> answer = Walk(query, request);
  if (!absl::IsDataLoss(answer.status())) return answer;
  {
    absl::MutexLock lock(&mutex_);
    damage_ = answer.status();
  }
  return Scan(query, request);
}

absl::StatusOr<TreeAnswer> TreeSpace::Scan(absl::Span<const float> query, const TreeQuery& request) const {
  TreeAnswer answer;
  answer.plan = request.matches == nullptr ? "stored rows" : "matches";
  answer.exact = true;
  answer.recall = 1;
  const VidSet all = request.matches == nullptr ? LiveVids() : VidSet();
  ASSIGN_OR_RETURN(answer.neighbors, Score(query, request.matches == nullptr ? all : *request.matches, request.k));
  return answer;
}

absl::StatusOr<TreeAnswer> TreeSpace::Walk(absl::Span<const float> query, const TreeQuery& request) const {
  const float target = request.target_recall > 0 ? static_cast<float>(request.target_recall) : kDefaultRecall;
  const index::ProbeRule* const rule = RuleFor(target);
  uint64_t live = 0;
  VidSet without_ghosts;
  index::TreeSearchParams params{.k = request.k, .target_recall = target, .filter = request.matches};
  {
    absl::ReaderMutexLock lock(&mutex_);
    live = live_.size();
    if (ghosts_ && request.matches == nullptr) without_ghosts = live_, params.filter = &without_ghosts;
  }
  const uint64_t matches = request.matches == nullptr ? live : request.matches->size();
  uint32_t postings = rule == nullptr ? kLeastPostings : rule->postings;
  if (request.matches != nullptr) {
    const double widening = static_cast<double>(live) / static_cast<double>(std::max<uint64_t>(1, matches));
    params.postings = postings = static_cast<uint32_t>(postings * std::clamp(widening, 1.0, kMostWidening));
  }
  TreeAnswer answer;
  answer.plan = request.matches == nullptr ? "tree" : "filtered tree";
  if (rule != nullptr && rule->recall < 1 && request.matches == nullptr) answer.recall = rule->recall;
  // The contract is min(k, matches): where the leaves near the query hold too few, more are read; all are soon.
  for (bool all_read = false;; params.postings = postings *= 4) {
    ASSIGN_OR_RETURN(index::TreeReply reply, tree_->Search(query, params));
    Sum(reply.stats, &answer.io);
    answer.neighbors = std::move(reply.neighbors);
    if (answer.neighbors.size() >= std::min<uint64_t>(request.k, matches)) return answer;
    if (all_read) return Scan(query, request);
    all_read = postings >= tree_->Stats().leaves / 4;
  }
}

absl::Status TreeSpace::Change(absl::Span<const Vid> vids, absl::Span<const float> vectors, absl::Span<const Vid> gone,
                               index::TreeIndex::Commit commit) {
  RETURN_IF_ERROR(tree_ != nullptr ? tree_->Change(vids, vectors, gone, commit) : commit(storage::WriteBatch()));
  absl::MutexLock lock(&mutex_);
  for (const Vid vid : vids) live_.Add(vid);
  for (const Vid vid : gone) live_.Remove(vid);
  return absl::OkStatus();
}

absl::Status TreeSpace::Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) {
  if (tree_ != nullptr) RETURN_IF_ERROR(tree_->Insert(vids, vectors));
  absl::MutexLock lock(&mutex_);
  for (const Vid vid : vids) live_.Add(vid);
  return absl::OkStatus();
}

void TreeSpace::Remove(absl::Span<const Vid> vids) {
  absl::MutexLock lock(&mutex_);
  for (const Vid vid : vids) {
    ghosts_ = ghosts_ || live_.Contains(vid);
    live_.Remove(vid);
  }
}

absl::StatusOr<std::vector<Neighbor>> TreeSpace::Search(absl::Span<const float> query,
                                                        const index::SearchParams& params) const {
  ASSIGN_OR_RETURN(TreeAnswer answer, Answer(query, {.k = params.k, .matches = params.filter}));
  return std::move(answer.neighbors);
}

absl::StatusOr<std::vector<Neighbor>> TreeSpace::Score(absl::Span<const float> query, const VidSet& candidates,
                                                       uint32_t k) const {
  ASSIGN_OR_RETURN(const std::vector<float> prepared, index::PrepareQuery(query, options_));
  const size_t n = options_.dimension;
  const index::DistanceKernels kernels = index::SelectKernels(index::FormOf(options_.metric));
  VidSet alive = LiveVids();
  alive &= candidates;
  index::TopK best(k, alive.size());
  std::vector<Vid> vids;
  std::vector<float> rows(kRowsAtOnce * n), distances(kRowsAtOnce);
  std::vector<const float*> pointers(kRowsAtOnce);
  for (size_t i = 0; i < kRowsAtOnce; ++i) pointers[i] = &rows[i * n];
  std::vector<size_t> missing;
  absl::Status status;
  const auto flush = [&] {
    status.Update(rows_.Read(vids, rows.data(), &missing));
    if (!status.ok()) return;
    for (size_t i = 0; i < vids.size(); ++i) index::Canonicalize({&rows[i * n], n}, options_.metric, &rows[i * n]);
    kernels.batch(prepared.data(), pointers.data(), vids.size(), n, distances.data());
    for (size_t i = 0; i < vids.size(); ++i) {
      if (std::binary_search(missing.begin(), missing.end(), i)) continue;  // deleted meanwhile
      if (distances[i] <= best.worst()) best.Push({vids[i], distances[i]});
    }
    vids.clear();
  };
  alive.ForEach([&](uint64_t vid) {
    vids.push_back(vid);
    if (vids.size() == kRowsAtOnce) flush();
    return status.ok();
  });
  if (status.ok()) flush();
  if (!status.ok()) return status;
  return std::move(best).Take();
}

absl::StatusOr<std::vector<float>> TreeSpace::Vector(Vid vid) const {
  if (!Contains(vid)) return absl::NotFoundError(absl::StrCat("vid ", vid));
  std::vector<float> row(options_.dimension);
  std::vector<size_t> missing;
  RETURN_IF_ERROR(rows_.Read({&vid, 1}, row.data(), &missing));
  if (!missing.empty()) return absl::NotFoundError(absl::StrCat("vid ", vid));
  index::Canonicalize(row, options_.metric, row.data());
  return row;
}

bool TreeSpace::Contains(Vid vid) const {
  absl::ReaderMutexLock lock(&mutex_);
  return live_.Contains(vid);
}

VidSet TreeSpace::LiveVids() const {
  absl::ReaderMutexLock lock(&mutex_);
  return live_;
}

absl::Status TreeSpace::Save(const std::string&, absl::string_view) const { return absl::OkStatus(); }

index::IndexStats TreeSpace::Stats() const {
  index::IndexStats stats;
  {
    absl::ReaderMutexLock lock(&mutex_);
    stats.live = live_.size();
    stats.resident_bytes = live_.bytes();
  }
  if (tree_ == nullptr) return stats;
  const index::TreeStats tree = tree_->Stats();
  stats.tombstones = tree.removed;
  stats.resident_bytes += tree.resident_bytes;
  return stats;
}

}  // namespace larder
