// Pictures of what a benchmark printed, drawn by plot.py.
#ifndef LARDER_TOOLS_BENCH_PLOT_H_
#define LARDER_TOOLS_BENCH_PLOT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace larder::tools {

// Writes a PNG of the JSON lines that `larder-bench SUBJECT --json` prints. Python draws, and says itself
// what it lacks: FailedPrecondition then.
absl::Status Plot(absl::string_view subject, const std::vector<std::string>& lines, const std::string& path);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_PLOT_H_
