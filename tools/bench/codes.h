// larder-bench codes: what each code keeps of a data set, and how fast.
#ifndef LARDER_TOOLS_BENCH_CODES_H_
#define LARDER_TOOLS_BENCH_CODES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace larder::tools {

struct CodesOptions {
  std::string base, query, ground_truth;  // files; without ground truth exact answers are computed
  std::string metric = "cosine";
  std::vector<std::string> codes;  // names as CodeName's; empty = one of each kind and size
  uint64_t limit = 0;              // only the first rows; 0 = all
  uint32_t queries = 200;          // only the first
  bool json = false;
  std::string plot;  // a PNG to write; "" = none
};

// Scans all rows by code, reranks the best by the vectors, and prints a line a code.
absl::Status RunCodes(const CodesOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_CODES_H_
