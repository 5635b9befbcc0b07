// larder-bench disk: an index whose codes and vectors stay on disk. How exact, how fast, how many reads.
#ifndef LARDER_TOOLS_BENCH_DISK_H_
#define LARDER_TOOLS_BENCH_DISK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace larder::tools {

struct DiskOptions {
  std::string base, query, ground_truth;  // files; without ground truth exact answers are computed
  std::string metric = "cosine";
  std::string directory;                  // where the database is built
  uint64_t memory_mb = 64;                // of the build's buffers and of the store
  uint64_t limit = 0;                     // only the first rows; 0 = all
  uint32_t k = 10, threads = 2, passes = 3;
  uint32_t bits = 0, leaf_entries = 0, copies = 2;  // of the tree; 0 = chosen by it
  std::vector<double> target_recall = {0.9, 0.95, 0.98};
  std::vector<uint32_t> postings, candidates;  // instead of targets: every pair of these is a setting
  bool keep = false;  // search the tree that is in the directory, if there is one
  bool json = false;
  std::string plot;   // a PNG to write; "" = none
};

// Builds a tree, opens it anew, searches it; prints a line a setting and a summary: the cheapest setting that
// reaches recall 0.95, or else the most exact.
absl::Status RunDisk(const DiskOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_DISK_H_
