#include "tools/bench/disk.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/plot.h"
#include "tools/bench/process_memory.h"
#include "tools/bench/tree_database.h"

namespace larder::tools {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

absl::StatusOr<TreeDatabase> OpenDatabase(const DiskOptions& options) {
  return OpenTreeDatabase(options.directory + "/tree", {});
}

struct Built {
  double seconds = 0, cpu_s = 0, measure_s = 0;
  double peak_rss_mb = 0;
};

absl::StatusOr<Built> Build(const DiskOptions& options, const AnnData& data) {
  Built built;
  const double start = Seconds(), cpu = CpuSeconds();
  ResetPeak();
  ASSIGN_OR_RETURN(TreeDatabase database, OpenDatabase(options));
  const MatrixSource source(data.base.get(), data.rows);
  index::TreeBuildOptions build;
  build.tree.space = kBenchSpace;
  build.tree.dimension = static_cast<uint32_t>(data.base->dim());
  build.tree.metric = MetricOf(options.metric);
  build.tree.bits = options.bits;
  build.tree.leaf_entries = options.leaf_entries;
  build.tree.copies = options.copies;
  build.threads = static_cast<int>(options.threads);
  build.memory_bytes = std::max<uint64_t>(16, options.memory_mb) << 20;
  build.progress = [&](absl::string_view phase, uint64_t done, uint64_t total) {
    if (!options.json) {
      std::fprintf(stderr, "%7.2f s  %s %llu of %llu\n", Seconds() - start, std::string(phase).c_str(),
                   static_cast<unsigned long long>(done), static_cast<unsigned long long>(total));
    }
    return absl::OkStatus();
  };
  const absl::Status status = index::BuildTree(database.store.get(), database.extents.get(), source, build);
  if (absl::IsAlreadyExists(status) && options.keep) return built;
  RETURN_IF_ERROR(status);
  built.seconds = Seconds() - start;
  built.cpu_s = CpuSeconds() - cpu;
  RETURN_IF_ERROR(OpenTree(&database));
  RETURN_IF_ERROR(database.tree->Measure(kMeasuredQueries, static_cast<int>(options.threads)));
  built.measure_s = Seconds() - start - built.seconds;
  built.peak_rss_mb = PeakResidentMb();
  return built;
}

struct Setting {
  double target = 0;
  uint32_t postings = 0, candidates = 0;
};

struct Measured {
  Setting setting;
  double recall = 0, qps = 0, p50_us = 0, p99_us = 0;
  double rounds = 0, reads = 0, kb = 0, postings = 0, entries = 0, candidates = 0;
};

absl::StatusOr<Measured> SearchAll(const index::TreeIndex& tree, const AnnData& data, const DiskOptions& options,
                                   const Setting& setting) {
  const size_t count = data.queries.size();
  std::vector<std::vector<uint32_t>> found(count);
  std::vector<double> micros(count);
  std::vector<index::TreeSearchStats> stats(count);
  index::TreeSearchParams params;
  params.k = options.k;
  params.target_recall = static_cast<float>(setting.target);
  params.postings = setting.postings;
  params.candidates = setting.candidates;
  std::atomic<size_t> next{0};
  const double start = Seconds();
  RETURN_IF_ERROR(InThreads(options.threads, [&](uint32_t) -> absl::Status {
    for (size_t q = next++; q < count; q = next++) {
      const double began = Seconds();
      ASSIGN_OR_RETURN(const index::TreeReply reply, tree.Search(data.queries[q], params));
      micros[q] = (Seconds() - began) * 1e6;
      stats[q] = reply.stats;
      for (const index::Neighbor& neighbor : reply.neighbors) found[q].push_back(static_cast<uint32_t>(neighbor.vid));
    }
    return absl::OkStatus();
  }));
  Measured measured;
  measured.setting = setting;
  measured.qps = static_cast<double>(count) / (Seconds() - start);
  measured.recall = Recall(found, data.truth);
  std::sort(micros.begin(), micros.end());
  measured.p50_us = micros[count / 2];
  measured.p99_us = micros[count * 99 / 100];
  for (const index::TreeSearchStats& one : stats) {
    const double share = 1.0 / static_cast<double>(count);
    measured.rounds = std::max<double>(measured.rounds, one.rounds);
    measured.reads += one.reads * share;
    measured.kb += static_cast<double>(one.bytes) / 1024 * share;
    measured.postings += one.postings * share;
    measured.entries += one.entries * share;
    measured.candidates += one.candidates * share;
  }
  return measured;
}

nlohmann::json ToJson(const Measured& m) {
  return {{"target_recall", m.setting.target}, {"recall", m.recall}, {"qps", m.qps}, {"p50_us", m.p50_us},
          {"p99_us", m.p99_us}, {"io_rounds", m.rounds}, {"reads_per_query", m.reads}, {"kb_per_query", m.kb},
          {"postings", m.postings}, {"entries", m.entries}, {"candidates", m.candidates}};
}

// The median of the passes by QPS; passes go over all settings in turn.
absl::StatusOr<std::vector<Measured>> MeasureAll(const index::TreeIndex& tree, const AnnData& data,
                                                 const DiskOptions& options) {
  std::vector<Setting> settings;
  for (const double target : options.target_recall) settings.push_back({target, 0, 0});
  if (!options.postings.empty()) settings.clear();
  for (const uint32_t postings : options.postings) {
    for (const uint32_t candidates : options.candidates) settings.push_back({0, postings, candidates});
  }
  std::vector<std::vector<Measured>> all(settings.size());
  for (uint32_t pass = 0; pass < options.passes; ++pass) {
    for (size_t i = 0; i < settings.size(); ++i) {
      ASSIGN_OR_RETURN(Measured measured, SearchAll(tree, data, options, settings[i]));
      all[i].push_back(measured);
    }
  }
  std::vector<Measured> medians;
  for (std::vector<Measured>& passes : all) {
    std::sort(passes.begin(), passes.end(), [](const Measured& a, const Measured& b) { return a.qps < b.qps; });
    medians.push_back(passes[passes.size() / 2]);
  }
  return medians;
}

absl::Status Draw(const DiskOptions& options, const std::vector<Measured>& all) {
  std::vector<std::string> lines;
  for (const Measured& measured : all) lines.push_back(ToJson(measured).dump());
  return Plot("disk", lines, options.plot);
}

void Print(const DiskOptions& options, const std::vector<Measured>& all) {
  if (!options.json) {
    std::printf("%7s %7s %8s %8s %8s %7s %7s %8s %9s %8s %11s\n", "target", "recall", "qps", "p50_us", "p99_us", "rounds",
                "reads", "KiB", "postings", "entries", "candidates");
  }
  for (const Measured& m : all) {
    if (options.json) {
      std::printf("%s\n", ToJson(m).dump().c_str());
    } else {
      std::printf("%7.3f %7.4f %8.0f %8.0f %8.0f %7.0f %7.1f %8.1f %9.1f %8.0f %11.1f\n", m.setting.target, m.recall, m.qps,
                  m.p50_us, m.p99_us, m.rounds, m.reads, m.kb, m.postings, m.entries, m.candidates);
    }
  }
}

}  // namespace

absl::Status RunDisk(const DiskOptions& options) {
  AnnOptions files;
  files.base = options.base, files.query = options.query, files.ground_truth = options.ground_truth;
  files.metric = options.metric, files.limit = options.limit, files.k = options.k;
  ASSIGN_OR_RETURN(const AnnData data, LoadAnnData(files));
  ASSIGN_OR_RETURN(const Built built, Build(options, data));
  const double start = Seconds();
  ASSIGN_OR_RETURN(TreeDatabase database, OpenDatabase(options));
  RETURN_IF_ERROR(OpenTree(&database));
  const index::TreeIndex& tree = *database.tree;
  RETURN_IF_ERROR(tree.Search(data.queries[0], {}).status());
  const double open_ms = (Seconds() - start) * 1e3;
  ResetPeak();
  ASSIGN_OR_RETURN(const std::vector<Measured> all, MeasureAll(tree, data, options));
  const double peak = PeakResidentMb();
  Print(options, all);
  const Measured* best = nullptr;
  for (const Measured& m : all) {
    const bool enough = m.recall >= 0.95, best_enough = best != nullptr && best->recall >= 0.95;
    if (best == nullptr || (enough ? !best_enough || m.qps > best->qps : !best_enough && m.recall > best->recall)) best = &m;
  }
  nlohmann::json summary = ToJson(*best);
  const auto& tree_options = tree.header().options;
  const index::TreeStats stats = tree.Stats();
  const storage::ExtentStats extents = database.extents->Stats();
  summary.update({{"summary", true}, {"system", "larder tree"}, {"rows", stats.rows},
                  {"dimension", tree_options.dimension}, {"bits", tree_options.bits}, {"copies", tree_options.copies},
                  {"leaves", stats.leaves}, {"entries_per_leaf", static_cast<double>(stats.entries) / static_cast<double>(stats.postings)},
                  {"index_resident_mb", static_cast<double>(stats.resident_bytes) / 1048576.0}, {"peak_rss_mb", peak},
                  {"build_s", built.seconds}, {"build_cpu_s", built.cpu_s}, {"measure_s", built.measure_s}, {"build_peak_rss_mb", built.peak_rss_mb},
                  {"open_ms", open_ms}, {"disk_mb", static_cast<double>(extents.bytes) / 1048576.0},
                  {"live_mb", static_cast<double>(extents.live_bytes) / 1048576.0}, {"io_uring", extents.io_uring},
                  {"direct_io", extents.direct_io}});
  std::printf("%s\n", summary.dump().c_str());
  return options.plot.empty() ? absl::OkStatus() : Draw(options, all);
}

}  // namespace larder::tools
