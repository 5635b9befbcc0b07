// larder-bench kv-trace: eviction policies on request traces.
#ifndef LARDER_TOOLS_BENCH_KV_TRACE_H_
#define LARDER_TOOLS_BENCH_KV_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace larder::tools {

struct KvTraceOptions {
  std::string trace;            // a file; see kv_trace_file.h
  std::string format = "auto";
  // Cache sizes, as shares of the distinct objects' bytes.
  std::vector<double> shares = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5};
  uint64_t bytes_per_token = 131'072;
  uint64_t seed = 1;            // of sizes that the trace does not tell
  bool json = false;
  std::string plot;             // a PNG to write; "" = none
};

// Prints, for each size and policy, the tokens that are computed again. In JSON a line each, and a last
// one with `ratio_lru` (ours over LRU's, summed over the sizes) and `ratio_offline` (ours over the bound's).
absl::Status RunKvTrace(const KvTraceOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_TRACE_H_
