// larder-bench ann: builds each index over the same rows, each in a process of its own, then searches
// them in turn.
#include "tools/bench/ann.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/ann_worker.h"
#include "tools/bench/plot.h"

namespace larder::tools {

absl::Status InThreads(uint32_t threads, const std::function<absl::Status(uint32_t)>& work) {
  std::vector<absl::Status> status(threads);
  std::vector<std::thread> running;
  for (uint32_t t = 1; t < threads; ++t) running.emplace_back([&, t] { status[t] = work(t); });
  status[0] = work(0);
  for (std::thread& thread : running) thread.join();
  for (const absl::Status& s : status) RETURN_IF_ERROR(s);
  return absl::OkStatus();
}

namespace {

struct Measured {
  std::vector<double> qps, p50_us, p99_us;  // one a pass
  double recall = 0;
  uint32_t ef = 0;
};

// An ef, or a recall for which the system chooses one.
struct Setting {
  uint32_t ef = 0;
  double target_recall = 0;
};

std::string Parameters(const std::string& index, const AnnOptions& options, uint32_t ef) {
  const std::string prefix = options.prefix > 0 && index != "hnswlib" ? absl::StrCat(",prefix=", options.prefix) : "";
  if (index.rfind("flat", 0) == 0) return absl::StrCat("threads=", options.threads, prefix);
  return absl::StrCat("m=", options.m, ",efc=", options.ef_construction, ",ef=", ef, ",threads=", options.threads,
                      prefix);
}

absl::Status Measure(AnnWorker& worker, size_t system, const Setting& setting, Measured* out) {
  ASSIGN_OR_RETURN(const SearchPass pass, worker.Search(system, setting.ef, setting.target_recall));
  out->qps.push_back(pass.qps);
  out->p50_us.push_back(pass.p50_us);
  out->p99_us.push_back(pass.p99_us);
  out->recall = pass.recall;
  out->ef = pass.ef;
  return absl::OkStatus();
}

AnnFigures Figures(const AnnFigures& built, const Measured& measured, const AnnOptions& options,
                   const Setting& setting) {
  AnnFigures figures = built;
  figures.ef = measured.ef;
  figures.target_recall = setting.target_recall;
  figures.params = Parameters(figures.index, options, figures.ef);
  if (setting.target_recall > 0) absl::StrAppend(&figures.params, ",target=", setting.target_recall);
  figures.recall = measured.recall;
  figures.qps = Quantile(measured.qps, 0.5);
  figures.p50_us = Quantile(measured.p50_us, 0.5);
  figures.p99_us = Quantile(measured.p99_us, 0.5);
  return figures;
}

}  // namespace

absl::Status RunAnn(const AnnOptions& options) {
  ASSIGN_OR_RETURN(const AnnData data, LoadAnnData(options));
  if (data.queries.empty()) return absl::InvalidArgumentError(absl::StrCat(options.query, " holds no queries"));
  std::vector<std::unique_ptr<AnnWorker>> workers;
  for (const std::string& index : options.indexes) {
    ASSIGN_OR_RETURN(std::unique_ptr<AnnWorker> worker, AnnWorker::Start(index, data, options));
    workers.push_back(std::move(worker));
  }
  std::vector<AnnFigures> all;
  std::vector<Setting> settings;
  for (const uint32_t ef : options.ef) settings.push_back({std::max(ef, options.k), 0});
  for (const double target : options.target_recall) settings.push_back({0, target});
  for (const Setting& setting : settings) {
    std::vector<std::vector<Measured>> measured(workers.size());
    for (size_t w = 0; w < workers.size(); ++w) measured[w].resize(workers[w]->systems().size());
    for (uint32_t pass = 0; pass < options.passes; ++pass) {  // A B A B
      for (size_t w = 0; w < workers.size(); ++w) {
        for (size_t s = 0; s < measured[w].size(); ++s) {
          RETURN_IF_ERROR(Measure(*workers[w], s, setting, &measured[w][s]));
        }
      }
    }
    for (size_t w = 0; w < workers.size(); ++w) {
      for (size_t s = 0; s < measured[w].size(); ++s) {
        if (measured[w][s].ef == 0) continue;  // does not choose
        all.push_back(Figures(workers[w]->systems()[s], measured[w][s], options, setting));
        if (options.json) std::printf("%s\n", ToJsonLine(all.back()).c_str());
        std::fflush(stdout);
      }
    }
  }
  if (!options.json) std::printf("%s", ToTable(all).c_str());
  const bool compare = std::find(options.indexes.begin(), options.indexes.end(), "hnswlib") != options.indexes.end();
  for (const std::string& index : options.indexes) {
    if (compare && index != "hnswlib") std::printf("%s\n", ComparisonJson(all, index, "hnswlib").c_str());
  }
  if (options.plot.empty()) return absl::OkStatus();
  std::vector<std::string> lines;
  for (const AnnFigures& figures : all) lines.push_back(ToJsonLine(figures));
  return Plot("ann", lines, options.plot);
}

}  // namespace larder::tools
