// What larder-bench measures: something that builds an index over rows and answers queries.
#ifndef LARDER_TOOLS_BENCH_ANN_SYSTEM_H_
#define LARDER_TOOLS_BENCH_ANN_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder::tools {

struct AnnOptions {
  std::string base, query, ground_truth;  // files; "" = exact answers are computed
  std::string metric = "cosine";
  std::vector<std::string> indexes = {"hnsw"};  // flat, hnsw, hnswlib
  std::vector<uint32_t> ef = {10, 20, 40, 80, 120, 200, 400, 800};
  std::vector<double> target_recall;  // settings of Larder's hnsw beside those of ef
  uint32_t k = 10;
  uint32_t threads = 1;
  uint32_t build_threads = 0;  // 0 = threads
  uint32_t streams = 0;        // callers of Larder's upserts, one after the other each; 0 = build_threads
  uint32_t m = 16, ef_construction = 200;
  uint32_t prefix = 0;       // dimensions that Larder's searches look at first; 0 = all
  uint32_t batch = 500;      // rows an upsert
  uint32_t passes = 3;       // of search, alternating over the systems; the median counts
  uint64_t limit = 0;        // only the first rows; 0 = all
  std::string directory;     // of the databases; "" = a temporary one, removed afterwards
  bool rpc = false;          // also search through a server on a real socket
  bool json = false;
  std::string plot;          // a PNG to write; "" = none
};

inline uint32_t BuildThreads(const AnnOptions& options) {
  return options.build_threads > 0 ? options.build_threads : options.threads;
}

// Hands out batches of rows, first come first served. Thread-safe.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual uint64_t rows() const = 0;
  virtual uint32_t dimension() const = 0;
  // The next batch: its first row's number and its rows, row-major. `count` 0 at the end.
  virtual absl::Status Next(uint64_t* first, uint64_t* count, std::vector<float>* rows) = 0;
};

class AnnSystem {
 public:
  virtual ~AnnSystem() = default;
  virtual std::string name() const = 0;
  virtual absl::Status Build(RowSource* rows, const AnnOptions& options) = 0;
  // Row numbers of the k nearest, best first. Called by several threads.
  virtual absl::Status Search(const std::vector<float>& query, uint32_t ef, std::vector<uint32_t>* rows) const = 0;
  // The same with the ef that the system chooses for this recall, and which that was. Unimplemented
  // where it does not choose.
  virtual absl::Status SearchFor(const std::vector<float>&, double /*target_recall*/, std::vector<uint32_t>*,
                                 uint32_t* /*ef*/) const {
    return absl::UnimplementedError("does not choose an ef");
  }
  // Waits until it can choose well.
  virtual absl::Status Calibrate() { return absl::OkStatus(); }
  virtual double bytes_per_vector() const = 0;
  virtual std::string code() const { return "f32"; }
  // Closes, opens, asks once; milliseconds. Negative where there is nothing on disk.
  virtual absl::StatusOr<double> Reopen(const std::vector<float>& query) = 0;
};

std::unique_ptr<AnnSystem> MakeLarderSystem(const std::string& index, const std::string& directory);
std::unique_ptr<AnnSystem> MakeHnswlibSystem();
// Searches the database of a MakeLarderSystem through a server and a client. Borrowed.
absl::StatusOr<std::unique_ptr<AnnSystem>> MakeRpcSystem(AnnSystem* larder);

// Runs `work(thread)` in `threads` threads; the first error wins.
absl::Status InThreads(uint32_t threads, const std::function<absl::Status(uint32_t thread)>& work);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ANN_SYSTEM_H_
