#include "tools/bench/kv_trace_replay.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>
#include <vector>

namespace larder::tools {
namespace {

constexpr size_t kNever = std::numeric_limits<size_t>::max();

// For each request the index of the next one for the same object.
std::vector<size_t> NextUses(const KvTrace& trace) {
  std::vector<size_t> next(trace.requests.size()), seen(trace.tokens.size(), kNever);
  for (size_t i = trace.requests.size(); i-- > 0;) {
    next[i] = std::exchange(seen[trace.requests[i]], i);
  }
  return next;
}

// Counts misses as first computations or as recomputations.
class Tally {
 public:
  explicit Tally(const KvTrace& trace) : trace_(trace), seen_(trace.tokens.size()) {}
  void Request(uint32_t object, bool hit) {
    const uint64_t tokens = trace_.tokens[object];
    counts_.requested += tokens;
    if (!seen_[object]) {
      counts_.first += tokens;
      seen_[object] = true;
    } else if (!hit) {
      counts_.recomputed += static_cast<double>(tokens);
    }
  }
  const KvTraceTokens& counts() const { return counts_; }

 private:
  const KvTrace& trace_;
  std::vector<bool> seen_;
  KvTraceTokens counts_;
};

}  // namespace

KvTraceTokens Replay(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes,
                     kv::EvictionPolicy* policy) {
  const auto any = [](uint64_t) { return true; };
  std::vector<bool> resident(trace.tokens.size());
  uint64_t bytes = 0;
  Tally tally(trace);
  for (const uint32_t id : trace.requests) {
    tally.Request(id, resident[id]);
    if (resident[id]) {
      policy->Touch(id);
      continue;
    }
    const kv::KvObject object{id, trace.tokens[id] * costs.bytes_per_token,
                              trace.tokens[id] / costs.tokens_per_second, 0};
    if (!policy->Admit(object) || object.bytes > cache_bytes) continue;
    policy->Insert(object);
    resident[id] = true;
    bytes += object.bytes;
    while (bytes > cache_bytes) {
      const uint64_t victim = policy->Victim(any).value();
      policy->Evict(victim);
      resident[victim] = false;
      bytes -= trace.tokens[victim] * costs.bytes_per_token;
    }
  }
  return tally.counts();
}

KvTraceTokens ReplayBelady(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes) {
  const std::vector<size_t> next = NextUses(trace);
  std::set<std::pair<size_t, uint32_t>> resident;  // by next use
  uint64_t bytes = 0;
  Tally tally(trace);
  for (size_t i = 0; i < trace.requests.size(); ++i) {
    const uint32_t id = trace.requests[i];
    const uint64_t size = trace.tokens[id] * costs.bytes_per_token;
    const bool hit = resident.erase({i, id}) > 0;
    tally.Request(id, hit);
    if (hit) bytes -= size;
    if (next[i] == kNever || size > cache_bytes) continue;
    resident.emplace(next[i], id);
    bytes += size;
    while (bytes > cache_bytes) {
      const auto farthest = std::prev(resident.end());
      bytes -= trace.tokens[farthest->second] * costs.bytes_per_token;
      resident.erase(farthest);
    }
  }
  return tally.counts();
}

KvTraceTokens OfflineBound(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes) {
  const std::vector<size_t> next = NextUses(trace);
  Tally tally(trace);
  std::vector<std::pair<size_t, double>> hits;  // steps, tokens
  for (size_t i = 0; i < trace.requests.size(); ++i) {
    const uint32_t id = trace.requests[i];
    tally.Request(id, false);
    const bool fits = trace.tokens[id] * costs.bytes_per_token <= cache_bytes;
    if (next[i] != kNever && fits) hits.emplace_back(next[i] - i, trace.tokens[id]);
  }
  // Tokens a byte are the same for all objects, so that the shortest waits are the cheapest.
  std::sort(hits.begin(), hits.end());
  double room = static_cast<double>(cache_bytes) * static_cast<double>(trace.requests.size());
  KvTraceTokens counts = tally.counts();
  for (const auto& [steps, tokens] : hits) {
    const double price = tokens * static_cast<double>(costs.bytes_per_token) * static_cast<double>(steps);
    counts.recomputed -= tokens * std::min(1.0, room / price);
    room -= price;
    if (room <= 0) break;
  }
  return counts;
}

}  // namespace larder::tools
