// larder-bench kernels: how fast distances from codes are computed, beside what memory can deliver.
#ifndef LARDER_TOOLS_BENCH_KERNELS_H_
#define LARDER_TOOLS_BENCH_KERNELS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace larder::tools {

struct KernelsOptions {
  std::vector<uint32_t> dimensions = {100, 384, 768};
  uint32_t passes = 5;       // over all kernels in turn; the median counts
  uint32_t megabytes = 256;  // of codes, for the figures out of memory
  bool json = false;
};

absl::Status RunKernels(const KernelsOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KERNELS_H_
