#ifndef LARDER_TOOLS_BENCH_ANN_H_
#define LARDER_TOOLS_BENCH_ANN_H_

#include "absl/status/status.h"
#include "tools/bench/ann_system.h"

namespace larder::tools {

// Prints one line a setting: JSON, or a table at the end.
absl::Status RunAnn(const AnnOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ANN_H_
