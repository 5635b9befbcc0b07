// The candidates of one walk in buckets by distance: a push, a pop and the distance of the n-th best cost a
// few instructions each, however large n is. A sorted array pays a move of half of it for each push,
// heaps a misprediction for each level.
//
// A bucket holds the distances whose floats agree in their leading bits (exponent and kMantissaBits), so
// buckets are narrow where distances are small. Within a bucket the last pushed is popped first.
#ifndef LARDER_INDEX_HNSW_FRONTIER_H_
#define LARDER_INDEX_HNSW_FRONTIER_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "index/hnsw/bucket_counts.h"

namespace larder::index {

struct Candidate {
  float distance;
  uint32_t id;
};

// How many of a walk's candidates are expanded: the best `least`; then those among the best `most` whose distance
// is at most 1 + `slack` times that of the k-th best. So a walk whose query has its k neighbours much nearer than
// anything else ends early, and one whose query has not goes on (adaptive beam search: Al-Jazzazi, Diwan, Gou,
// Musco, Musco and Suel, arXiv:2505.15636). With least = most it is the plain best-first search.
struct Reach {
  size_t least = 1, most = 1, k = 1;
  float slack = 0;
};

// Thread-compatible. Keeps its memory from walk to walk.
class Frontier {
 public:
  Frontier() : heads_(kBuckets, kNone), counts_(kBuckets), open_(kBuckets / 64, 0) {}

  // Begins a walk from a start at `distance`; `offset` makes every distance positive.
  void Start(float distance, float offset, const Reach& reach);

  // No candidate at this distance or beyond is expanded any more.
  float worst() const { return worst_; }

  // `counts`: it may be a result, and is one of the best.
  void Push(Candidate candidate, bool counts) {
    if (!least_.known && RawKey(candidate.distance) - base_ >= kBuckets) Rebase(candidate.distance);
    const uint32_t key = KeyOf(candidate.distance);
    if (key > limit_) return;
    entries_.push_back({candidate, kNone, key, counts});
    Open(static_cast<uint32_t>(entries_.size() - 1));
    Count(key, counts);
  }

  // Lowers the bound to what the reach leaves; once after some pushes.
  void Tighten() {
    if (!least_.known) return;
    least_.Lower(counts_);
    if (least_.limit == 0 && least_.counted > least_.wanted) NarrowToNearest();
    limit_ = least_.limit;
    if (adaptive_) {
      nearest_.Lower(counts_);
      most_.Lower(counts_);
      limit_ = std::max(limit_, WithinSlack(nearest_.limit));
      if (most_.known) limit_ = std::min(limit_, most_.limit);
    }
    worst_ = LowerEdge(limit_ + 1);
  }

  // The nearest that was not popped yet; false if none within the bound is left.
  bool Pop(Candidate* candidate) {
    for (size_t part = 0; part < kSummaries; ++part) {
      if (summary_[part] == 0) continue;
      const uint32_t word = static_cast<uint32_t>(part * 64 + std::countr_zero(summary_[part]));
      const uint32_t key = word * 64 + static_cast<uint32_t>(std::countr_zero(open_[word]));
      if (key > limit_) return false;
      Entry& entry = entries_[heads_[key]];
      *candidate = entry.candidate;
      entry.popped = true;
      heads_[key] = entry.next;
      if (entry.next == kNone) {
        open_[word] &= open_[word] - 1;
        if (open_[word] == 0) summary_[part] &= summary_[part] - 1;
      }
      return true;
    }
    return false;
  }

  // Those that count within the bound, in no order: at least the best `least`, if there were so many.
  void Results(std::vector<Candidate>* out) const;
  uint64_t bytes() const {
    return kBuckets * 2 * sizeof(uint32_t) + kBuckets / 8 + entries_.capacity() * sizeof(Entry);
  }

 private:
  static constexpr int kMantissaBits = 11;
  static constexpr int kBuckets = 1 << 14;      // eight octaves
  static constexpr int kBucketsAbove = 1 << 12;  // two of them for what is farther than the start
  static constexpr size_t kSummaries = kBuckets / 4096;
  static constexpr uint32_t kNone = ~0u;
  struct Entry {
    Candidate candidate;
    uint32_t next;
    uint32_t key : 30, counts : 1, popped : 1 = false;
  };

  static int RawKeyOf(float positive) {
    return static_cast<int>(std::bit_cast<uint32_t>(positive) >> (23 - kMantissaBits));
  }
  int RawKey(float distance) const { return RawKeyOf(std::max(distance + offset_, 1e-30f)); }
  uint32_t Clamped(int raw) const { return static_cast<uint32_t>(std::min(std::max(raw - base_, 0), kBuckets - 1)); }
  uint32_t KeyOf(float distance) const { return Clamped(RawKey(distance)); }
  void SetBase(float distance) { base_ = RawKey(distance) - (kBuckets - kBucketsAbove); }
  // Puts an entry first in its bucket.
  void Open(uint32_t at) {
    Entry& entry = entries_[at];
    entry.next = heads_[entry.key];
    heads_[entry.key] = at;
    open_[entry.key / 64] |= uint64_t{1} << entry.key % 64;
    summary_[entry.key / 4096] |= uint64_t{1} << entry.key / 64 % 64;
  }
  void Count(uint32_t key, bool counts) {
    counts_.Add(key, counts);
    least_.Count(key, counts);
    if (!adaptive_) return;
    nearest_.Count(key, counts);
    most_.Count(key, counts);
  }
  // The last bucket within the slack of what bucket `key` holds.
  uint32_t WithinSlack(uint32_t key) const {
    const int edge = base_ + static_cast<int>(key) + 1;
    if (edge <= 0) return 0;
    return Clamped(RawKeyOf(std::bit_cast<float>(static_cast<uint32_t>(edge) << (23 - kMantissaBits)) * slack_));
  }
  // The best `least` are all nearer than the first bucket (a query amid near copies): down to them.
  void NarrowToNearest();
  // Moves the buckets: down by the above, or up to a distance beyond the last before there is a bound,
  // where the start was much nearer than its region (a query that is a row).
  void Rebase(float distance);
  float LowerEdge(uint32_t key) const {
    if (key >= kBuckets) return std::numeric_limits<float>::infinity();
    const int raw = base_ + static_cast<int>(key);
    return raw <= 0 ? 0 : std::bit_cast<float>(static_cast<uint32_t>(raw) << (23 - kMantissaBits)) - offset_;
  }
  void ClearBuckets();

  Rank nearest_, least_, most_;  // only least_ if the reach is not adaptive
  bool adaptive_ = false;
  float slack_ = 1;  // 1 + that of the reach
  float offset_ = 0, worst_ = 0;
  int base_ = 0;
  uint32_t limit_ = 0;  // the last bucket within the bound
  std::vector<uint32_t> heads_;
  BucketCounts counts_;
  std::vector<uint64_t> open_;  // a bit a bucket: holds something not popped
  uint64_t summary_[kSummaries] = {};
  std::vector<Entry> entries_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_FRONTIER_H_
