// larder-bench ann: builds each index over the same rows, then searches them in turn.
#include "tools/bench/ann.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/process_memory.h"
#include "tools/progress.h"

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

// Rows as they come, with a progress bar.
class CountedRows : public RowSource {
 public:
  CountedRows(std::unique_ptr<RowSource> rows, const std::string& label) : rows_(std::move(rows)), progress_(Options(label)) {}
  uint64_t rows() const override { return rows_->rows(); }
  uint32_t dimension() const override { return rows_->dimension(); }
  absl::Status Next(uint64_t* first, uint64_t* count, std::vector<float>* rows) override {
    const absl::Status status = rows_->Next(first, count, rows);
    progress_.Advance(*count);
    return status;
  }

 private:
  ProgressOptions Options(const std::string& label) const {
    ProgressOptions options;
    options.label = absl::StrCat("build ", label);
    options.total = rows_->rows();
    return options;
  }
  const std::unique_ptr<RowSource> rows_;
  Progress progress_;
};

struct Measured {
  std::vector<double> qps, p50_us, p99_us;  // one a pass
  double recall = 0;
};

using Query = std::function<absl::Status(const std::vector<float>& query, std::vector<uint32_t>* rows)>;

absl::Status SearchPass(const AnnData& data, const AnnOptions& options, const Query& search, Measured* out) {
  std::vector<std::vector<uint32_t>> found(data.queries.size());
  std::vector<double> micros(data.queries.size());
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(InThreads(options.threads, [&](uint32_t t) -> absl::Status {
    for (size_t q = t; q < data.queries.size(); q += options.threads) {
      const absl::Time before = absl::Now();
      RETURN_IF_ERROR(search(data.queries[q], &found[q]));
      micros[q] = absl::ToDoubleMicroseconds(absl::Now() - before);
    }
    return absl::OkStatus();
  }));
  out->qps.push_back(static_cast<double>(data.queries.size()) / absl::ToDoubleSeconds(absl::Now() - start));
  out->p50_us.push_back(Quantile(micros, 0.5));
  out->p99_us.push_back(Quantile(micros, 0.99));
  out->recall = Recall(found, data.truth);
  return absl::OkStatus();
}

absl::StatusOr<AnnFigures> BuildOne(AnnSystem* system, const AnnData& data, const AnnOptions& options) {
  AnnFigures figures;
  figures.index = system->name();
  ResetPeak();
  CountedRows rows(MakeRowSource(data.base.get(), data.rows, options.batch), system->name());
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(system->Build(&rows, options));
  figures.build_s = absl::ToDoubleSeconds(absl::Now() - start);
  figures.peak_rss_mb = PeakResidentMb();
  figures.final_rss_mb = ResidentMb();
  figures.bytes_per_vector = system->bytes_per_vector();
  ASSIGN_OR_RETURN(figures.reopen_ms, system->Reopen(data.queries[0]));
  if (!options.target_recall.empty()) RETURN_IF_ERROR(system->Calibrate());
  return figures;
}

std::string Parameters(const std::string& index, const AnnOptions& options, uint32_t ef) {
  if (index.rfind("flat", 0) == 0) return absl::StrCat("threads=", options.threads);
  return absl::StrCat("m=", options.m, ",efc=", options.ef_construction, ",ef=", ef, ",threads=", options.threads);
}

AnnFigures Figures(AnnFigures figures, const Measured& measured, const AnnOptions& options, uint32_t ef, double target) {
  figures.ef = ef;
  figures.target_recall = target;
  figures.params = Parameters(figures.index, options, ef);
  if (target > 0) absl::StrAppend(&figures.params, ",target=", target);
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
  std::vector<std::unique_ptr<AnnSystem>> indexes, servers;  // servers go first: they borrow
  std::vector<const AnnSystem*> systems;
  std::vector<AnnFigures> built;
  for (const std::string& index : options.indexes) {
    indexes.push_back(index == "hnswlib" ? MakeHnswlibSystem() : MakeLarderSystem(index, options.directory));
    systems.push_back(indexes.back().get());
    ASSIGN_OR_RETURN(AnnFigures figures, BuildOne(indexes.back().get(), data, options));
    built.push_back(figures);
    if (!options.rpc || index == "hnswlib") continue;
    ASSIGN_OR_RETURN(std::unique_ptr<AnnSystem> rpc, MakeRpcSystem(indexes.back().get()));
    figures.index = rpc->name();
    built.push_back(std::move(figures));
    systems.push_back(rpc.get());
    servers.push_back(std::move(rpc));
  }
  std::vector<AnnFigures> all;
  const auto report = [&](AnnFigures figures) {
    if (options.json) std::printf("%s\n", ToJsonLine(figures).c_str());
    std::fflush(stdout);
    all.push_back(std::move(figures));
  };
  for (const uint32_t ef : options.ef) {
    std::vector<Measured> measured(systems.size());
    for (uint32_t pass = 0; pass < options.passes; ++pass) {
      for (size_t s = 0; s < systems.size(); ++s) {  // A B A B
        const Query search = [&](const std::vector<float>& query, std::vector<uint32_t>* rows) {
          return systems[s]->Search(query, std::max(ef, options.k), rows);
        };
        RETURN_IF_ERROR(SearchPass(data, options, search, &measured[s]));
      }
    }
    for (size_t s = 0; s < systems.size(); ++s) report(Figures(built[s], measured[s], options, ef, 0));
  }
  for (const double target : options.target_recall) {
    for (size_t s = 0; s < systems.size(); ++s) {
      Measured measured;
      uint32_t ef = 0;
      std::vector<uint32_t> rows;
      if (absl::IsUnimplemented(systems[s]->SearchFor(data.queries[0], target, &rows, &ef))) continue;
      for (uint32_t pass = 0; pass < options.passes; ++pass) {
        const Query search = [&](const std::vector<float>& query, std::vector<uint32_t>* rows) {
          uint32_t used = 0;
          const absl::Status status = systems[s]->SearchFor(query, target, rows, &used);
          if (&query == &data.queries.back()) ef = used;  // the checks may change it on the way
          return status;
        };
        RETURN_IF_ERROR(SearchPass(data, options, search, &measured));
      }
      report(Figures(built[s], measured, options, ef, target));
    }
  }
  if (!options.json) std::printf("%s", ToTable(all).c_str());
  const bool compare = std::find(options.indexes.begin(), options.indexes.end(), "hnswlib") != options.indexes.end();
  for (const std::string& index : options.indexes) {
    if (compare && index != "hnswlib") std::printf("%s\n", ComparisonJson(all, index, "hnswlib").c_str());
  }
  return absl::OkStatus();
}

}  // namespace larder::tools
