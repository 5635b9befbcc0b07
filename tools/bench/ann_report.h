// Figures of one setting of one system, and what follows from many of them.
#ifndef LARDER_TOOLS_BENCH_ANN_REPORT_H_
#define LARDER_TOOLS_BENCH_ANN_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace larder::tools {

struct AnnFigures {
  std::string index, code = "f32", params;
  uint32_t ef = 0;
  double target_recall = 0;  // 0: ef was given
  double recall = 0, qps = 0, p50_us = 0, p99_us = 0;
  double build_s = 0, bytes_per_vector = 0, peak_rss_mb = 0, final_rss_mb = 0, reopen_ms = -1;
};

std::string ToJsonLine(const AnnFigures& figures);
std::string ToTable(const std::vector<AnnFigures>& figures);

// QPS of `index` at exactly this recall, by log-linear interpolation between its settings; 0 if it
// does not reach it, and the fastest setting's if all lie above.
double QpsAtRecall(const std::vector<AnnFigures>& figures, const std::string& index, double recall);
// One line that compares `index` with `rival` at equal recall: {"summary": ..., "ratio_...": ...}.
std::string ComparisonJson(const std::vector<AnnFigures>& figures, const std::string& index, const std::string& rival);

double Quantile(std::vector<double> values, double q);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ANN_REPORT_H_
