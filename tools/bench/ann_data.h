// Base, queries and ground truth for larder-bench ann.
#ifndef LARDER_TOOLS_BENCH_ANN_DATA_H_
#define LARDER_TOOLS_BENCH_ANN_DATA_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/bench/ann_system.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {

struct AnnData {
  std::unique_ptr<MatrixReader> base;
  uint64_t rows = 0;                          // of base that are used
  std::vector<std::vector<float>> queries;
  std::vector<std::vector<uint32_t>> truth;   // per query, the k true nearest
};

// Reads the files; without ground truth the exact answers are computed from the base.
absl::StatusOr<AnnData> LoadAnnData(const AnnOptions& options);

std::unique_ptr<RowSource> MakeRowSource(const MatrixReader* base, uint64_t rows, uint32_t batch);

// Share of the true neighbours among the found.
double Recall(const std::vector<std::vector<uint32_t>>& found, const std::vector<std::vector<uint32_t>>& truth);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ANN_DATA_H_
