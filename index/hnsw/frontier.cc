#include "index/hnsw/frontier.h"

namespace larder::index {

void Frontier::Start(float distance, float offset, const Reach& reach) {
  ClearBuckets();
  entries_.clear();
  adaptive_ = reach.most > reach.least;
  slack_ = 1 + reach.slack;
  nearest_ = {reach.k};
  least_ = {reach.least};
  most_ = {reach.most};
  limit_ = kBuckets - 1;
  offset_ = offset;
  SetBase(distance);
  worst_ = std::numeric_limits<float>::infinity();
}

void Frontier::ClearBuckets() {
  for (const Entry& entry : entries_) {
    heads_[entry.key] = kNone;
    counts_.Clear(entry.key);
    open_[entry.key / 64] = 0;
  }
  std::fill_n(summary_, kSummaries, 0);
}

void Frontier::Results(std::vector<Candidate>* out) const {
  out->clear();
  for (const Entry& entry : entries_) {
    if (entry.counts && entry.key <= limit_) out->push_back(entry.candidate);
  }
}

void Frontier::NarrowToNearest() {
  std::vector<float> nearest;
  for (const Entry& entry : entries_) {
    if (entry.key == 0 && entry.counts) nearest.push_back(entry.candidate.distance);
  }
  const size_t last = least_.wanted - 1;
  std::nth_element(nearest.begin(), nearest.begin() + last, nearest.end());
  if (RawKey(nearest[last]) >= base_) return;
  Rebase(nearest[last]);
  least_.Lower(counts_);
}

void Frontier::Rebase(float distance) {
  ClearBuckets();
  SetBase(distance);
  nearest_.Forget();
  least_.Forget();
  most_.Forget();
  for (uint32_t at = 0; at < entries_.size(); ++at) {
    Entry& entry = entries_[at];
    entry.key = KeyOf(entry.candidate.distance);
    Count(entry.key, entry.counts);
    if (!entry.popped) Open(at);
  }
}

}  // namespace larder::index
