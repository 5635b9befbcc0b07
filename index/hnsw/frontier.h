// The candidates of one walk in buckets by distance: a push, a pop and the bound of the best `ef` cost a
// few instructions each, however large ef is. A sorted array pays a move of half of it for each push,
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

namespace larder::index {

struct Candidate {
  float distance;
  uint32_t id;
};

// Thread-compatible. Keeps its memory from walk to walk.
class Frontier {
 public:
  Frontier() : heads_(kBuckets, kNone), counts_(kBuckets, 0), open_(kBuckets / 64, 0) {}

  // Begins a walk that keeps the best `ef` from a start at `distance`; `offset` makes every distance
  // positive.
  void Start(float distance, float offset, size_t ef);

  // No candidate at this distance or beyond is among the best any more.
  float worst() const { return worst_; }

  // `counts`: it may be a result, and takes one of the ef places.
  void Push(Candidate candidate, bool counts) {
    if (!bounded_ && RawKey(candidate.distance) - base_ >= kBuckets) Rebase(candidate.distance);
    const uint32_t key = KeyOf(candidate.distance);
    if (bounded_ && key > limit_) return;
    entries_.push_back({candidate, kNone, key, counts});
    Open(static_cast<uint32_t>(entries_.size() - 1));
    counts_[key] += counts;
    counted_ += counts;
    if (!bounded_) {
      limit_ = std::max(limit_, key);
      bounded_ = counted_ >= ef_;
    }
  }

  // Lowers the bound to what ef leaves; once after some pushes.
  void Tighten() {
    if (!bounded_ || counted_ < ef_) return;
    const uint32_t before = limit_;
    LowerLimit();
    if (limit_ == 0 && counted_ > ef_) NarrowToNearest();
    if (limit_ != before || worst_ == std::numeric_limits<float>::infinity()) worst_ = LowerEdge(limit_ + 1);
  }

  // The nearest that was not popped yet; false if none within the bound is left.
  bool Pop(Candidate* candidate) {
    for (size_t part = 0; part < kSummaries; ++part) {
      if (summary_[part] == 0) continue;
      const uint32_t word = static_cast<uint32_t>(part * 64 + std::countr_zero(summary_[part]));
      const uint32_t key = word * 64 + static_cast<uint32_t>(std::countr_zero(open_[word]));
      if (bounded_ && key > limit_) return false;
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

  // Those that count within the bound, in no order: at least the best ef, if there were so many.
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

  int RawKey(float distance) const {
    const float positive = std::max(distance + offset_, 1e-30f);
    return static_cast<int>(std::bit_cast<uint32_t>(positive) >> (23 - kMantissaBits));
  }
  uint32_t KeyOf(float distance) const {
    return static_cast<uint32_t>(std::min(std::max(RawKey(distance) - base_, 0), kBuckets - 1));
  }
  void SetBase(float distance) { base_ = RawKey(distance) - (kBuckets - kBucketsAbove); }
  // Puts an entry first in its bucket.
  void Open(uint32_t at) {
    Entry& entry = entries_[at];
    entry.next = heads_[entry.key];
    heads_[entry.key] = at;
    open_[entry.key / 64] |= uint64_t{1} << entry.key % 64;
    summary_[entry.key / 4096] |= uint64_t{1} << entry.key / 64 % 64;
  }
  void LowerLimit() {
    while (limit_ > 0 && counted_ - counts_[limit_] >= ef_) counted_ -= counts_[limit_--];
  }
  // The best ef are all nearer than the first bucket (a query amid near copies): down to them.
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

  size_t ef_ = 1, counted_ = 0;  // counted_: within the bound
  float offset_ = 0, worst_ = 0;
  int base_ = 0;
  bool bounded_ = false;
  uint32_t limit_ = 0;  // the last bucket within the bound
  std::vector<uint32_t> heads_, counts_;
  std::vector<uint64_t> open_;  // a bit a bucket: holds something not popped
  uint64_t summary_[kSummaries] = {};
  std::vector<Entry> entries_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_FRONTIER_H_
