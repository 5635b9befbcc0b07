// Replays a trace through an eviction policy, and bounds what any policy could do.
#ifndef LARDER_TOOLS_BENCH_KV_TRACE_REPLAY_H_
#define LARDER_TOOLS_BENCH_KV_TRACE_REPLAY_H_

#include <cstdint>

#include "engine/kv/policy/policy.h"
#include "tools/bench/kv_trace_file.h"

namespace larder::tools {

struct KvTraceCosts {
  uint64_t bytes_per_token = 131'072;  // Llama-3-8B, f16: 2 * 32 layers * 8 heads * 128 * 2
  double tokens_per_second = 17'000;   // of prefill
};

// Tokens, over a whole trace. All of them are requested; of each object the first request is computed by
// any policy, and only what is computed again is recomputed.
struct KvTraceTokens {
  uint64_t requested = 0, first = 0;
  double recomputed = 0;  // a bound may be fractional
};

KvTraceTokens Replay(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes,
                     kv::EvictionPolicy* policy);

// Belady's MIN for objects of different sizes: keeps what is used again soonest and refuses what is used
// again latest. It knows the future, but is best only where all sizes are equal.
KvTraceTokens ReplayBelady(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes);

// A lower bound for every policy, clairvoyant ones included: PFOO-L (Berger, Beckmann and Harchol-Balter,
// "Practical Bounds on Optimal Caching with Variable Object Sizes", POMACS 2018). A hit needs its object's
// bytes from one request to the next; hits are bought, the most tokens a byte and step first, until
// cache_bytes times the trace's length is spent, whoever overlaps whom.
KvTraceTokens OfflineBound(const KvTrace& trace, const KvTraceCosts& costs, uint64_t cache_bytes);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_TRACE_REPLAY_H_
