#include "index/hnsw/frontier.h"

namespace larder::index {

void Frontier::Start(float distance, float offset, size_t ef) {
  ClearBuckets();
  entries_.clear();
  ef_ = ef;
  counted_ = 0;
  bounded_ = false;
  limit_ = 0;
  offset_ = offset;
  SetBase(distance);
  worst_ = std::numeric_limits<float>::infinity();
}

void Frontier::ClearBuckets() {
  for (const Entry& entry : entries_) {
    heads_[entry.key] = kNone;
    counts_[entry.key] = 0;
    open_[entry.key / 64] = 0;
  }
  std::fill_n(summary_, kSummaries, 0);
}

void Frontier::Results(std::vector<Candidate>* out) const {
  out->clear();
  for (const Entry& entry : entries_) {
    if (entry.counts && (!bounded_ || entry.key <= limit_)) out->push_back(entry.candidate);
  }
}

void Frontier::NarrowToNearest() {
  std::vector<float> nearest;
  for (const Entry& entry : entries_) {
    if (entry.key == 0 && entry.counts) nearest.push_back(entry.candidate.distance);
  }
  std::nth_element(nearest.begin(), nearest.begin() + (ef_ - 1), nearest.end());
  if (RawKey(nearest[ef_ - 1]) >= base_) return;
  Rebase(nearest[ef_ - 1]);
  LowerLimit();
}

void Frontier::Rebase(float distance) {
  ClearBuckets();
  SetBase(distance);
  limit_ = 0;
  counted_ = 0;
  for (uint32_t at = 0; at < entries_.size(); ++at) {
    Entry& entry = entries_[at];
    entry.key = KeyOf(entry.candidate.distance);
    counts_[entry.key] += entry.counts;
    counted_ += entry.counts;
    limit_ = std::max<uint32_t>(limit_, entry.key);
    if (!entry.popped) Open(at);
  }
}

}  // namespace larder::index
