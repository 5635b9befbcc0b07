// TreeIndex::Measure: how many postings and candidates buy which recall, at what cost.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "index/kernels/half.h"
#include "index/top_k.h"
#include "index/tree/bit_choice.h"
#include "index/tree/parallel.h"
#include "index/tree/tree_search.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint32_t kNeighbors = 10;
constexpr size_t kKept = 4096;  // entries of a scan
constexpr uint32_t kPostings[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192};
constexpr uint32_t kCandidates[] = {10, 11, 12, 13, 14, 16, 18, 20, 22, 25, 28, 32, 36, 40, 45, 50, 60, 70, 80, 100, 130,
                                    170, 220, 300, 400, 600};
// Times the nearest centroid's distance; then without.
constexpr float kGaps[] = {0.02f, 0.03f, 0.04f, 0.05f, 0.06f, 0.07f, 0.08f, 0.09f, 0.1f, 0.12f, 0.14f, 0.16f, 0.18f, 0.2f, 0.23f,
                           0.26f, 0.3f, 0.35f, 0.4f, 0.5f, 0.6f, 0.8f, 1.2f, std::numeric_limits<float>::infinity()};
constexpr float kTargets[] = {0.5f, 0.7f, 0.8f, 0.85f, 0.9f, 0.925f, 0.95f, 0.96f, 0.97f, 0.98f, 0.985f, 0.99f, 0.995f};

}  // namespace

class TreeMeasure {
 public:
  TreeMeasure(TreeIndex* index, int threads) : index_(*index), threads_(threads) {}

  absl::Status Run(uint32_t queries) {
    {
      absl::ReaderMutexLock lock(&index_.mutex_);
      for (const VectorGroup& group : index_.groups_) {
        if (group.rows > 0) groups_.push_back({group.pointer, group.rows});
      }
      removed_ = index_.removed_;
    }
    if (groups_.empty()) return absl::FailedPreconditionError("tree: nothing to measure with");
    RETURN_IF_ERROR(DrawQueries(queries));
    RETURN_IF_ERROR(ParallelFor(groups_.size(), threads_, [this](size_t group) { return ScanGroup(group); }));
    {
      absl::MutexLock lock(&mutex_);
      outcomes_.assign(choices_.size(), {});
    }
    RETURN_IF_ERROR(ParallelFor(queries_.size(), threads_, [this](size_t query) { return Probe(query); }));
    index_.header_.rules = Rules();
    storage::WriteBatch batch;
    batch.Put(storage::Table::kTree, index_.keys_.Prefix('m'), EncodeHeader(index_.header_));
    return index_.store_->Write(std::move(batch)).status();
  }

 private:
  struct Query {
    Vid self;
    std::vector<float> vector;
    TopK exact{kNeighbors, kNeighbors};
    std::vector<Neighbor> nearest;
  };

  absl::StatusOr<std::string> ReadGroup(size_t group) const {
    return std::move(index_.extents_->Read({&groups_[group].pointer, 1})[0]);
  }

  // Rows spread over the groups.
  absl::Status DrawQueries(uint32_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const size_t group = i * groups_.size() / count;
      const CountedPointer& at = groups_[group];
      const uint16_t slot = static_cast<uint16_t>(i * 7919 % at.count);
      const auto pointer = index_.pages_.PagePointer(at.pointer, index_.pages_.PageOf(slot));
      const absl::StatusOr<std::string> page = std::move(index_.extents_->Read({&pointer, 1})[0]);
      RETURN_IF_ERROR(page.status());
      Query query;
      query.vector.resize(index_.header_.options.dimension);
      query.self = index_.pages_.DecodeRow(index_.pages_.RowOfGroup(*page, slot % index_.pages_.rows_per_page()), query.vector.data());
      if (!removed_.Contains(query.self)) queries_.push_back(std::move(query));
    }
    return absl::OkStatus();
  }

  absl::Status ScanGroup(size_t group) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadGroup(group));
    const size_t n = index_.header_.options.dimension, count = groups_[group].count;
    const DistanceForm form = FormOf(index_.header_.options.metric);
    std::vector<float> rows(count * n), distances(count);
    std::vector<const float*> pointers(count);
    std::vector<Vid> vids(count);
    for (uint32_t i = 0; i < count; ++i) {
      pointers[i] = &rows[i * n];
      vids[i] = index_.pages_.DecodeRow(index_.pages_.RowOfGroup(bytes, i), &rows[i * n]);
    }
    const DistanceKernels kernels = SelectKernels(form);
    for (Query& query : queries_) {
      kernels.batch(query.vector.data(), pointers.data(), count, n, distances.data());
      absl::MutexLock lock(&mutex_);
      for (size_t i = 0; i < count; ++i) {
        if (distances[i] < query.exact.worst() && vids[i] != query.self && !removed_.Contains(vids[i])) query.exact.Push({vids[i], distances[i]});
      }
    }
    return absl::OkStatus();
  }

  // A way of choosing postings: the first so many within a gap.
  struct Choice {
    uint32_t postings;
    float gap;
    bool Takes(uint32_t rank, float farther) const { return rank < postings && farther <= gap; }
  };
  struct Outcome {
    uint64_t postings = 0;  // read
    uint32_t found[std::size(kCandidates)] = {};
  };
  static std::vector<Choice> Choices() {
    std::vector<Choice> choices;
    for (const uint32_t postings : kPostings) {
      for (const float gap : kGaps) choices.push_back({postings, gap});
    }
    return choices;
  }

  absl::Status Probe(size_t number) {
    Query& query = queries_[number];
    query.nearest = std::move(query.exact).Take();
    TreeSearch search(index_, query.vector.data(), nullptr);
    RETURN_IF_ERROR(search.Scan(kPostings[std::size(kPostings) - 1], std::numeric_limits<float>::infinity(), kKept));
    const std::vector<TreeCandidate> kept = search.TakeKept();
    std::vector<Outcome> outcomes(choices_.size());
    for (size_t i = 0; i < choices_.size(); ++i) Judge(choices_[i], query, kept, search.gaps(), &outcomes[i]);
    absl::MutexLock lock(&mutex_);
    wanted_ += query.nearest.size();
    for (size_t i = 0; i < choices_.size(); ++i) {
      outcomes_[i].postings += outcomes[i].postings;
      for (size_t c = 0; c < std::size(kCandidates); ++c) outcomes_[i].found[c] += outcomes[i].found[c];
    }
    return absl::OkStatus();
  }

  // Where the true nearest come in the order of estimates, among the postings of the choice.
  static void Judge(const Choice& choice, const Query& query, const std::vector<TreeCandidate>& kept,
                    const std::vector<float>& gaps, Outcome* outcome) {
    for (uint32_t rank = 0; rank < gaps.size() && choice.Takes(rank, gaps[rank]); ++rank) ++outcome->postings;
    std::vector<Vid> seen;  // no more than the last place that counts
    size_t missing = query.nearest.size();
    for (const TreeCandidate& candidate : kept) {
      const Vid vid = candidate.place.vid;
      if (!choice.Takes(candidate.rank, candidate.gap) || vid == query.self) continue;
      if (std::find(seen.begin(), seen.end(), vid) != seen.end()) continue;
      if (std::any_of(query.nearest.begin(), query.nearest.end(), [vid](const Neighbor& n) { return n.vid == vid; })) {
        for (size_t c = 0; c < std::size(kCandidates); ++c) outcome->found[c] += seen.size() < kCandidates[c];
        --missing;
      }
      seen.push_back(vid);
      if (missing == 0 || seen.size() == kCandidates[std::size(kCandidates) - 1]) break;
    }
  }

  std::vector<ProbeRule> Rules() {
    const TreeStats stats = index_.Stats();
    absl::MutexLock lock(&mutex_);
    const ReadCost cost;
    const double queries = static_cast<double>(queries_.size()), wanted = static_cast<double>(std::max<uint64_t>(1, wanted_));
    const double posting_bytes = static_cast<double>(index_.code_.block_bytes()) / kBlockCodes *
                                 static_cast<double>(stats.entries) / static_cast<double>(std::max<size_t>(1, stats.postings));
    std::vector<ProbeRule> rules;
    for (const float target : kTargets) {
      // A sample's recall is itself uncertain.
      const double least = target + 0.1 * (1 - target);
      ProbeRule best;
      double best_cost = 1e300;
      for (size_t i = 0; i < choices_.size(); ++i) {
        for (size_t c = 0; c < std::size(kCandidates); ++c) {
          const double costs =
              static_cast<double>(outcomes_[i].postings) / queries * (cost.read_us + posting_bytes * cost.byte_us) +
              kCandidates[c] * (cost.read_us + static_cast<double>(index_.pages_.page_bytes()) * cost.byte_us);
          if (outcomes_[i].found[c] / wanted < least || costs >= best_cost) continue;
          best_cost = costs;
          best = {target, choices_[i].postings, kCandidates[c], choices_[i].gap};
        }
      }
      if (best.postings > 0) rules.push_back(best);
    }
    // What is beyond all that was seen: the widest.
    rules.push_back({1, kPostings[std::size(kPostings) - 1], kCandidates[std::size(kCandidates) - 1]});
    return rules;
  }

  TreeIndex& index_;
  const int threads_;
  std::vector<CountedPointer> groups_;
  std::vector<Query> queries_;
  VidSet removed_;
  const std::vector<Choice> choices_ = Choices();
  absl::Mutex mutex_;
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Outcome> outcomes_ ABSL_GUARDED_BY(mutex_);
};

absl::Status TreeIndex::Measure(uint32_t queries, int threads) {
  if (queries == 0) return absl::InvalidArgumentError("tree: nothing to measure with");
  return TreeMeasure(this, threads).Run(queries);
}

}  // namespace larder::index
