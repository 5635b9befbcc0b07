#include "tools/bench/ann_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace larder::tools {

std::string ToJsonLine(const AnnFigures& f) {
  nlohmann::ordered_json line;
  line["index"] = f.index;
  line["code"] = f.code;
  line["params"] = f.params;
  line["ef"] = f.ef;
  if (f.target_recall > 0) line["target_recall"] = f.target_recall;
  line["recall"] = f.recall;
  line["qps"] = f.qps;
  line["p50_us"] = f.p50_us;
  line["p99_us"] = f.p99_us;
  line["build_s"] = f.build_s;
  line["bytes_per_vector"] = f.bytes_per_vector;
  line["peak_rss_mb"] = f.peak_rss_mb;
  line["final_rss_mb"] = f.final_rss_mb;
  if (f.reopen_ms >= 0) line["reopen_ms"] = f.reopen_ms;
  return line.dump();
}

std::string ToTable(const std::vector<AnnFigures>& figures) {
  std::string out = absl::StrFormat("%-12s %-28s %7s %9s %9s %9s %8s %7s %8s\n", "index", "params", "recall", "qps",
                                    "p50 us", "p99 us", "build s", "B/vec", "peak MB");
  for (const AnnFigures& f : figures) {
    absl::StrAppendFormat(&out, "%-12s %-28s %7.4f %9.0f %9.1f %9.1f %8.1f %7.0f %8.0f\n", f.index, f.params,
                          f.recall, f.qps, f.p50_us, f.p99_us, f.build_s, f.bytes_per_vector, f.peak_rss_mb);
  }
  return out;
}

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const size_t at = std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[at];
}

double QpsAtRecall(const std::vector<AnnFigures>& figures, const std::string& index, double recall) {
  std::vector<std::pair<double, double>> points;
  for (const AnnFigures& f : figures) {
    if (f.index == index) points.emplace_back(f.recall, f.qps);
  }
  std::sort(points.begin(), points.end());
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].first < recall) continue;
    if (i == 0 || points[i].first == recall) return points[i].second;
    const auto& [r0, q0] = points[i - 1];
    const auto& [r1, q1] = points[i];
    const double share = (recall - r0) / (r1 - r0);
    return std::exp(std::log(q0) + share * (std::log(q1) - std::log(q0)));
  }
  return 0;
}

std::string ComparisonJson(const std::vector<AnnFigures>& figures, const std::string& index,
                           const std::string& rival) {
  nlohmann::ordered_json line;
  line["summary"] = index + " against " + rival;
  for (const double recall : {0.90, 0.95, 0.99}) {
    const double ours = QpsAtRecall(figures, index, recall), theirs = QpsAtRecall(figures, rival, recall);
    if (ours > 0 && theirs > 0) line[absl::StrFormat("ratio_qps_%03.0f", recall * 100)] = ours / theirs;
  }
  for (const AnnFigures& a : figures) {
    for (const AnnFigures& b : figures) {
      if (a.index == index && b.index == rival && b.build_s > 0) line["ratio_build"] = a.build_s / b.build_s;
    }
  }
  return line.dump();
}

}  // namespace larder::tools
