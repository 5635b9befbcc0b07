#include "index/recall/live_check.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace larder::index {
namespace {

// A check is not broken off before this, however cheap the last one was: the machine may be busy.
constexpr int64_t kLeastPatienceNs = 20'000'000;

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Observed recall of an answer given some time ago: hits that were removed since count neither way.
double Observed(const VectorIndex& index, const std::vector<Neighbor>& answer, uint32_t k, std::vector<Neighbor> exact) {
  std::vector<Neighbor> still;
  for (const Neighbor& neighbor : answer) {
    if (index.Contains(neighbor.vid)) still.push_back(neighbor);
  }
  const size_t gone = answer.size() - still.size();
  const size_t expected = k > gone ? k - gone : 0;
  if (exact.size() > expected) exact.resize(expected);
  return RecallOf(still, exact);
}

}  // namespace

void LiveCheck::Sums::Add(double seen, double promised, uint32_t k, double decay) {
  for (double* sum : {&n, &observed, &squares, &expected, &log_k}) *sum *= decay;
  n += 1;
  observed += seen;
  squares += seen * seen;
  expected += promised;
  log_k += std::log(static_cast<double>(k));
  ++checked;
}

LiveEstimate LiveCheck::Sums::Estimate() const {
  if (checked == 0) return {};
  const double mean = observed / n, k = std::exp(log_k / n), one = 1 / (n * k);
  const double variance = std::max(0.0, squares / n - mean * mean) / n;
  return {mean, std::sqrt(variance + one * one), checked};
}

LiveCheck::LiveCheck(LiveCheckOptions options) : options_(std::move(options)) {}

size_t LiveCheck::RegionOf(uint32_t ef) { return std::min<size_t>(std::bit_width(ef), kRegions - 1); }

void LiveCheck::Offer(const AnsweredSearch& search) {
  search_ns_.fetch_add(search.search_ns, std::memory_order_relaxed);
  const uint64_t number = offered_.fetch_add(1, std::memory_order_relaxed);
  if (Mix(number ^ options_.seed) % options_.sample_every != 0) return;
  if (!mutex_.TryLock()) return;
  if (samples_.size() < options_.queue) {
    next_ = samples_.size();
    samples_.emplace_back();
  }
  Sample& sample = samples_[next_];
  next_ = (next_ + 1) % options_.queue;
  sample.query.assign(search.query.begin(), search.query.end());
  sample.k = search.k;
  sample.ef = search.ef;
  sample.answer.assign(search.answer.begin(), search.answer.end());
  sample.end_vid = search.end_vid;
  if (recent_.size() < options_.recent) recent_.emplace_back();
  recent_[next_recent_].assign(search.query.begin(), search.query.end());
  next_recent_ = (next_recent_ + 1) % options_.recent;
  mutex_.Unlock();
}

bool LiveCheck::has_recent_queries() const {
  absl::MutexLock lock(&mutex_);
  return recent_.size() == options_.recent;
}

std::vector<std::vector<float>> LiveCheck::RecentQueries() const {
  absl::MutexLock lock(&mutex_);
  return recent_.size() == options_.recent ? recent_ : std::vector<std::vector<float>>();
}

bool LiveCheck::Afford() {
  const int64_t cost = cost_ns_.load(std::memory_order_relaxed);
  const auto earned = static_cast<int64_t>(options_.share * static_cast<double>(search_ns()));
  const int64_t held = earned - spent_ns() - forfeited_ns_.load(std::memory_order_relaxed);
  const int64_t most = std::max(options_.burst_ns, 2 * cost);
  if (held > most) forfeited_ns_.fetch_add(held - most, std::memory_order_relaxed);
  return held > 0 && held >= cost;
}

bool LiveCheck::Take(Sample* sample, uint64_t* generation) {
  absl::MutexLock lock(&mutex_);
  if (samples_.empty()) return false;
  const size_t newest = (next_ + samples_.size() - 1) % samples_.size();
  *sample = std::move(samples_[newest]);
  samples_[newest] = std::move(samples_.back());
  samples_.pop_back();
  next_ = samples_.size() < options_.queue ? samples_.size() : 0;
  *generation = generation_;
  return true;
}

bool LiveCheck::CheckOne(const VectorIndex& index, const RecallTable& table, const std::function<bool()>& stop) {
  Sample sample;
  uint64_t generation = 0;
  if (!Afford() || !Take(&sample, &generation)) return false;
  const int64_t cost = cost_ns_.load(std::memory_order_relaxed), start = options_.clock();
  const auto enough = [&] {
    return (cost > 0 && options_.clock() - start > std::max(kLeastPatienceNs, 2 * cost)) || (stop && stop());
  };
  const auto exact = ExactScan(index, sample.end_vid).Nearest(sample.query, sample.k, enough);
  const int64_t took = options_.clock() - start;
  spent_ns_.fetch_add(took, std::memory_order_relaxed);
  cost_ns_.store(exact.ok() && cost > 0 ? (3 * cost + took) / 4 : std::max(took, 2 * cost), std::memory_order_relaxed);
  if (!exact.ok()) return false;
  Record(sample, Observed(index, sample.answer, sample.k, *exact), table, generation);
  return true;
}

void LiveCheck::Record(const Sample& sample, double observed, const RecallTable& table, uint64_t generation) {
  const double expected = table.empty() ? 1 : table.At(sample.ef, sample.k).recall;
  const double decay = std::exp2(-1 / options_.half_life);
  absl::MutexLock lock(&mutex_);
  if (generation != generation_) return;
  regions_[RegionOf(sample.ef)].Add(observed, expected, sample.k, decay);
  all_.Add(observed, expected, sample.k, decay);
  if (table.empty()) return;
  double weight = 0, sum = 0;
  for (const Sums& region : regions_) {
    if (region.checked < options_.least_checks) continue;
    weight += region.n;
    sum += region.n * std::log(CorrectionOf(region, table));
  }
  if (weight > 0) correction_.store(std::exp(sum / weight), std::memory_order_relaxed);
}

// Where fewer are found than promised, by more than chance: the ef that promises so few is what the
// asked one was worth.
double LiveCheck::CorrectionOf(const Sums& sums, const RecallTable& table) const {
  const LiveEstimate seen = sums.Estimate();
  const double promised = sums.expected / sums.n;
  if (promised - seen.recall <= seen.standard_error) return 1;
  const auto k = static_cast<uint32_t>(std::lround(std::exp(sums.log_k / sums.n)));
  return std::clamp(table.EfOf(promised, k) / table.EfOf(seen.recall, k), 1.0, options_.max_correction);
}

LiveEstimate LiveCheck::Estimate() const {
  absl::MutexLock lock(&mutex_);
  return all_.Estimate();
}

LiveEstimate LiveCheck::EstimateAround(uint32_t ef) const {
  absl::MutexLock lock(&mutex_);
  return regions_[RegionOf(ef)].Estimate();
}

void LiveCheck::Forget() {
  absl::MutexLock lock(&mutex_);
  ++generation_;
  samples_.clear();
  next_ = 0;
  regions_ = {};
  all_ = {};
  correction_.store(1, std::memory_order_relaxed);
}

}  // namespace larder::index
