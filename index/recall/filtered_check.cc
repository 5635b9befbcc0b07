#include "index/recall/filtered_check.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace larder::index {

size_t FilteredCheck::RegionOf(uint64_t matches, uint64_t rows) {
  return std::min<size_t>(std::bit_width(rows / std::max<uint64_t>(1, matches)), kRegions - 1);
}

void FilteredCheck::Offer(const FilteredSearch& search) {
  if (!mutex_.TryLock()) return;
  search_ns_ += search.search_ns;
  if (offered_++ % options_.sample_every == 0) {
    if (samples_.size() == options_.queue) samples_.erase(samples_.begin());
    samples_.push_back({{search.query.begin(), search.query.end()},
                        search.k,
                        {search.answer.begin(), search.answer.end()},
                        *search.matches,
                        RegionOf(search.matches->size(), search.rows)});
  }
  mutex_.Unlock();
}

bool FilteredCheck::CheckOne(const VectorIndex& index) {
  Sample sample;
  uint64_t generation = 0;
  {
    absl::MutexLock lock(&mutex_);
    const double earned = options_.share * static_cast<double>(search_ns_);
    if (samples_.empty() || static_cast<double>(spent_ns_) > earned) return false;
    sample = std::move(samples_.back());
    samples_.pop_back();
    generation = generation_;
  }
  const int64_t start = options_.clock();
  const auto exact = index.Score(sample.query, sample.matches, sample.k);
  // Hits that were removed since count neither way.
  std::vector<Neighbor> still;
  for (const Neighbor& neighbor : sample.answer) {
    if (index.Contains(neighbor.vid)) still.push_back(neighbor);
  }
  absl::MutexLock lock(&mutex_);
  spent_ns_ += options_.clock() - start;
  if (!exact.ok() || generation != generation_) return false;
  std::vector<Neighbor> expected = *exact;
  const size_t gone = sample.answer.size() - still.size();
  expected.resize(expected.size() - std::min(gone, expected.size()));
  const double decay = std::exp2(-1 / options_.half_life);
  Sums& sums = regions_[sample.region];
  sums.n = sums.n * decay + 1;
  sums.observed = sums.observed * decay + RecallOf(still, expected);
  ++sums.checked;
  return true;
}

std::optional<double> FilteredCheck::Expect(uint64_t matches, uint64_t rows) const {
  absl::MutexLock lock(&mutex_);
  const Sums& sums = regions_[RegionOf(matches, rows)];
  if (sums.checked < options_.least_checks) return std::nullopt;
  return sums.observed / sums.n;
}

void FilteredCheck::Forget() {
  absl::MutexLock lock(&mutex_);
  ++generation_;
  samples_.clear();
  regions_ = {};
}

}  // namespace larder::index
