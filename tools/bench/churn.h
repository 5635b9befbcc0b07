// larder-bench churn: a disk index whose rows come and go while it is searched, beside one that is built afresh.
#ifndef LARDER_TOOLS_BENCH_CHURN_H_
#define LARDER_TOOLS_BENCH_CHURN_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace larder::tools {

struct ChurnOptions {
  std::string base, query, ground_truth;  // files; without ground truth exact answers are computed
  std::string metric = "cosine";
  std::string directory;     // of the databases
  uint64_t memory_mb = 64;   // of the builds
  uint64_t limit = 0;        // only the first rows; 0 = all
  uint32_t rounds = 100;
  double share = 0.02;       // of the rows that a round replaces
  uint32_t rate = 2'000;     // rows a second; 0 = as fast as it goes
  uint32_t batch = 20;       // rows to an insert
  uint32_t seconds = 5;      // of idle searching before
  uint32_t file_mb = 8;      // of the extent files
  uint32_t k = 10, threads = 2;
  double target_recall = 0.95;
  bool json = false;
  std::string plot;
};

// A share of the rows is held back. Each round inserts what is held back, durably and under new vids, and removes
// as many others, which come back in the next. One thread searches all the while, another does what the index has
// to do in the background. In the end all rows are there, and a tree of the same rows is built afresh.
absl::Status RunChurn(const ChurnOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_CHURN_H_
