// One index in a process of its own, so that its memory is its own: forked before anything is built,
// it builds, then searches whenever it is told to.
#ifndef LARDER_TOOLS_BENCH_ANN_WORKER_H_
#define LARDER_TOOLS_BENCH_ANN_WORKER_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/ann_system.h"

namespace larder::tools {

// One search of all queries.
struct SearchPass {
  double qps = 0, p50_us = 0, p99_us = 0, recall = 0;
  uint32_t ef = 0;  // given, or the last that was chosen; 0 where the system does not choose
};

// Single-threaded, and so must the process be that starts it. What it is given outlives it.
class AnnWorker {
 public:
  // Returns when the index is built.
  static absl::StatusOr<std::unique_ptr<AnnWorker>> Start(const std::string& index, const AnnData& data,
                                                          const AnnOptions& options);
  ~AnnWorker();  // ends the process

  // The index and, with AnnOptions::rpc, the same through a server; without figures of search.
  const std::vector<AnnFigures>& systems() const { return systems_; }
  // With `target_recall` above 0 the system chooses the ef itself.
  absl::StatusOr<SearchPass> Search(size_t system, uint32_t ef, double target_recall = 0);

 private:
  AnnWorker(std::string index, pid_t process, FILE* from, FILE* to)
      : index_(std::move(index)), process_(process), from_(from), to_(to) {}
  absl::StatusOr<std::string> ReadLine();

  const std::string index_;
  const pid_t process_;
  FILE* const from_;
  FILE* const to_;
  std::vector<AnnFigures> systems_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ANN_WORKER_H_
