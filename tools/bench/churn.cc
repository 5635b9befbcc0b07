#include "tools/bench/churn.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/plot.h"
#include "tools/bench/process_memory.h"
#include "tools/bench/tree_database.h"

namespace larder::tools {
namespace {

// Bytes on disk of all files below.
double DirectoryMb(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(path, error); it != std::filesystem::end(it); it.increment(error)) {
    if (error) break;
    if (it->is_regular_file(error)) bytes += it->file_size(error);
  }
  return static_cast<double>(bytes) / 1048576.0;
}

struct Round {
  uint32_t round = 0;
  double inserts_per_s = 0, busy_inserts_per_s = 0;  // the second: while an insert was under way
  double insert_p99_ms = 0, p50_us = 0, p99_us = 0, disk_mb = 0, live_mb = 0, rss_mb = 0;
  uint64_t searches = 0, rows = 0, removed = 0, deltas = 0, leaves = 0;
  uint64_t missed = 0;  // inserted and not found at once
};

nlohmann::json ToJson(const Round& r) {
  return {{"round", r.round}, {"inserts_per_s", r.inserts_per_s}, {"busy_inserts_per_s", r.busy_inserts_per_s},
          {"insert_p99_ms", r.insert_p99_ms}, {"searches", r.searches}, {"p50_us", r.p50_us}, {"p99_us", r.p99_us},
          {"disk_mb", r.disk_mb}, {"live_mb", r.live_mb}, {"rss_mb", r.rss_mb}, {"rows", r.rows}, {"removed", r.removed},
          {"deltas", r.deltas}, {"leaves", r.leaves}, {"missed", r.missed}};
}

class Churn {
 public:
  Churn(const ChurnOptions& options, const AnnData& data) : options_(options), data_(data), random_(7) {}

  absl::Status Run() {
    HoldBack();
    RETURN_IF_ERROR(Build("churned", pool_, &database_));
    RETURN_IF_ERROR(Idle());
    RETURN_IF_ERROR(Rounds());
    return Compare();
  }

 private:
  std::string Path(const std::string& name) const { return absl::StrCat(options_.directory, "/", name); }

  void HoldBack() {
    row_of_.resize(data_.rows);
    for (uint64_t row = 0; row < data_.rows; ++row) row_of_[row] = static_cast<uint32_t>(row), live_.push_back(row);
    std::shuffle(live_.begin(), live_.end(), random_);
    per_round_ = std::max<size_t>(1, static_cast<size_t>(options_.share * static_cast<double>(data_.rows)));
    pool_.assign(live_.end() - static_cast<ptrdiff_t>(per_round_), live_.end());
    live_.resize(live_.size() - per_round_);
    std::sort(pool_.begin(), pool_.end());
  }

  absl::Status OpenStore(const std::string& name, TreeDatabase* database) {
    storage::ExtentStoreOptions extents;
    extents.file_bytes = uint64_t{options_.file_mb} << 20;
    ASSIGN_OR_RETURN(*database, OpenTreeDatabase(Path(name), extents));
    return absl::OkStatus();
  }
  absl::Status OpenAll(const std::string& name, TreeDatabase* database) {
    RETURN_IF_ERROR(OpenStore(name, database));
    return OpenTree(database);
  }

  absl::Status Build(const std::string& name, const std::vector<uint64_t>& without, TreeDatabase* database) {
    RETURN_IF_ERROR(OpenStore(name, database));
    const MatrixSource source(data_.base.get(), data_.rows, without);
    index::TreeBuildOptions build;
    build.tree.space = kBenchSpace;
    build.tree.dimension = static_cast<uint32_t>(data_.base->dim());
    build.tree.metric = MetricOf(options_.metric);
    build.threads = static_cast<int>(options_.threads);
    build.memory_bytes = std::max<uint64_t>(16, options_.memory_mb) << 20;
    RETURN_IF_ERROR(index::BuildTree(database->store.get(), database->extents.get(), source, build));
    RETURN_IF_ERROR(OpenTree(database));
    return database->tree->Measure(kMeasuredQueries, build.threads);
  }

  // Latencies of searches in microseconds, until `stop`.
  absl::Status SearchUntil(const std::function<bool()>& stop) {
    index::TreeSearchParams params;
    params.k = options_.k;
    params.target_recall = static_cast<float>(options_.target_recall);
    for (size_t q = 0; !stop(); q = (q + 1) % data_.queries.size()) {
      const double began = Seconds();
      RETURN_IF_ERROR(database_.tree->Search(data_.queries[q], params).status());
      const double took = (Seconds() - began) * 1e6;
      absl::MutexLock lock(&mutex_);
      micros_.push_back(took);
    }
    return absl::OkStatus();
  }
  std::vector<double> TakeMicros() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(micros_, {});
  }

  absl::Status Idle() {
    const double end = Seconds() + options_.seconds;
    RETURN_IF_ERROR(SearchUntil([end] { return Seconds() >= end; }));
    const std::vector<double> micros = TakeMicros();
    idle_p50_us_ = Quantile(micros, 0.5);
    idle_p99_us_ = Quantile(micros, 0.99);
    return absl::OkStatus();
  }

  // What waits for nobody: pieces of work, and now and then garbage.
  absl::Status Maintain(const std::function<bool()>& stop) {
    while (!stop()) {
      ASSIGN_OR_RETURN(const bool did, database_.tree->Maintain());
      if (did && !MuchGarbage()) continue;
      if (MuchGarbage()) RETURN_IF_ERROR(CollectGarbage(&database_));
      if (!did) absl::SleepFor(absl::Milliseconds(2));
    }
    return absl::OkStatus();
  }
  bool MuchGarbage() const {
    const storage::ExtentStats stats = database_.extents->Stats();
    return stats.bytes > stats.live_bytes + stats.live_bytes / 8 + last_left_;
  }
  absl::Status CollectGarbage(TreeDatabase* database) {
    const absl::Status status = database->extents
        ->CollectGarbage([database](const auto& owner, const auto& from, const auto& to, auto* batch) {
          return database->tree->Relocate(owner, from, to, batch);
        }).status();
    // What it leaves is not worth another look before there is more.
    const storage::ExtentStats stats = database->extents->Stats();
    const uint64_t garbage = stats.bytes - stats.live_bytes, borne = stats.live_bytes / 8;
    last_left_ = garbage > borne ? garbage - borne + (uint64_t{options_.file_mb} << 19) : 0;
    return status;
  }

  absl::Status Rounds() {
    std::atomic<bool> stop{false};
    absl::Status searched, maintained, churned;
    std::thread searcher([&] { searched = SearchUntil([&] { return stop.load(); }); });
    std::thread maintainer([&] { maintained = Maintain([&] { return stop.load(); }); });
    const double start = Seconds();
    for (uint32_t round = 1; round <= options_.rounds && churned.ok(); ++round) {
      churned = OneRound(round, round == options_.rounds);
    }
    churn_s_ = Seconds() - start;
    stop = true;
    searcher.join();
    maintainer.join();
    for (const absl::Status& status : {churned, searched, maintained}) RETURN_IF_ERROR(status);
    return absl::OkStatus();
  }

  absl::Status OneRound(uint32_t number, bool last) {
    std::vector<uint64_t> coming = std::exchange(pool_, {});
    std::shuffle(coming.begin(), coming.end(), random_);
    std::shuffle(live_.begin(), live_.end(), random_);
    Round round;
    round.round = number;
    std::vector<double> insert_ms;
    double busy = 0;
    const double start = Seconds();
    const size_t before = live_.size();
    for (size_t first = 0; first < coming.size(); first += options_.batch) {
      if (options_.rate > 0) absl::SleepFor(absl::Seconds(start + static_cast<double>(first) / options_.rate - Seconds()));
      const size_t count = std::min<size_t>(options_.batch, coming.size() - first);
      const double began = Seconds();
      RETURN_IF_ERROR(Insert({coming.begin() + static_cast<ptrdiff_t>(first), coming.begin() + static_cast<ptrdiff_t>(first + count)}));
      insert_ms.push_back((Seconds() - began) * 1e3);
      busy += Seconds() - began;
      ASSIGN_OR_RETURN(const bool found, FindsLast());
      round.missed += !found;
      if (!last) RETURN_IF_ERROR(Remove(first, count, before));
    }
    if (!last) live_.erase(live_.begin(), live_.begin() + static_cast<ptrdiff_t>(coming.size()));
    round.inserts_per_s = static_cast<double>(coming.size()) / (Seconds() - start);
    round.busy_inserts_per_s = static_cast<double>(coming.size()) / busy;
    round.insert_p99_ms = Quantile(insert_ms, 0.99);
    Note(&round);
    return absl::OkStatus();
  }

  void Note(Round* round) {
    const std::vector<double> micros = TakeMicros();
    round->searches = micros.size();
    round->p50_us = micros.empty() ? 0 : Quantile(micros, 0.5);
    round->p99_us = micros.empty() ? 0 : Quantile(micros, 0.99);
    all_micros_.insert(all_micros_.end(), micros.begin(), micros.end());
    const index::TreeStats stats = database_.tree->Stats();
    round->rows = stats.rows, round->removed = stats.removed, round->deltas = stats.deltas, round->leaves = stats.leaves;
    round->disk_mb = DirectoryMb(Path("churned"));
    round->live_mb = static_cast<double>(database_.extents->Stats().live_bytes) / 1048576.0;
    round->rss_mb = ResidentMb();
    rounds_.push_back(*round);
    if (options_.json) {
      std::printf("%s\n", ToJson(*round).dump().c_str());
    } else {
      if (round->round == 1) std::printf("%5s %9s %9s %8s %8s %8s %8s %8s %7s %7s\n", "round", "inserts/s", "insert_ms", "p50_us", "p99_us", "disk_mb", "live_mb", "removed", "leaves", "missed");
      std::printf("%5u %9.0f %9.2f %8.0f %8.0f %8.1f %8.1f %8llu %7llu %7llu\n", round->round, round->inserts_per_s, round->insert_p99_ms,
                  round->p50_us, round->p99_us, round->disk_mb, round->live_mb, static_cast<unsigned long long>(round->removed),
                  static_cast<unsigned long long>(round->leaves), static_cast<unsigned long long>(round->missed));
    }
    std::fflush(stdout);
  }

  absl::Status Insert(const std::vector<uint64_t>& rows) {
    const size_t n = data_.base->dim();
    std::vector<index::Vid> vids;
    std::vector<float> vectors(rows.size() * n);
    for (size_t i = 0; i < rows.size(); ++i) {
      RETURN_IF_ERROR(data_.base->Read(rows[i], 1, &vectors[i * n]));
      vids.push_back(row_of_.size());
      row_of_.push_back(static_cast<uint32_t>(rows[i]));
    }
    RETURN_IF_ERROR(database_.tree->Insert(vids, vectors));
    live_.insert(live_.end(), vids.begin(), vids.end());
    last_vector_.assign(vectors.end() - static_cast<ptrdiff_t>(n), vectors.end());
    return absl::OkStatus();
  }

  // Many rows may be the same: at distance 0 any will do.
  absl::StatusOr<bool> FindsLast() const {
    ASSIGN_OR_RETURN(const index::TreeReply reply, database_.tree->Search(last_vector_, {.k = options_.k}));
    for (const index::Neighbor& neighbor : reply.neighbors) {
      if (neighbor.vid == live_.back()) return true;
    }
    return !reply.neighbors.empty() && reply.neighbors.back().distance < 1e-3f;
  }

  absl::Status Remove(size_t first, size_t count, size_t before) {
    std::vector<index::Vid> vids;
    for (size_t i = first; i < first + count && i < before; ++i) {
      vids.push_back(live_[i]);
      pool_.push_back(row_of_[live_[i]]);
    }
    return database_.tree->Remove(vids);
  }

  absl::StatusOr<double> RecallOf(const index::TreeIndex& tree, const index::TreeSearchParams& params, double* reads) const {
    std::vector<std::vector<uint32_t>> found(data_.queries.size());
    *reads = 0;
    for (size_t q = 0; q < found.size(); ++q) {
      ASSIGN_OR_RETURN(const index::TreeReply reply, tree.Search(data_.queries[q], params));
      for (const index::Neighbor& neighbor : reply.neighbors) found[q].push_back(row_of_[neighbor.vid]);
      *reads += static_cast<double>(reply.stats.reads) / static_cast<double>(found.size());
    }
    return Recall(found, data_.truth);
  }

  absl::Status Compare() {
    for (bool more = true; more;) {
      ASSIGN_OR_RETURN(more, database_.tree->Maintain());
    }
    TreeDatabase fresh;
    RETURN_IF_ERROR(Build("fresh", {}, &fresh));
    // Both without what a collection can take, and with nothing left in the log.
    for (TreeDatabase* database : {&database_, &fresh}) {
      const std::string name = database == &fresh ? "fresh" : "churned";
      database->tree.reset();
      database->extents.reset();
      database->store.reset();
      RETURN_IF_ERROR(OpenAll(name, database));
      RETURN_IF_ERROR(CollectGarbage(database));
    }
    const float target = static_cast<float>(options_.target_recall);
    const index::ProbeRule* rule = &fresh.tree->header().rules.back();
    for (const index::ProbeRule& known : fresh.tree->header().rules) {
      if (known.recall >= target && known.recall < rule->recall) rule = &known;
    }
    // Both by one rule: what differs is the tree, not what was measured on it.
    const index::TreeSearchParams same{.k = options_.k, .postings = rule->postings, .candidates = rule->candidates};
    const index::TreeSearchParams own{.k = options_.k, .target_recall = target};
    double reads[4];
    ASSIGN_OR_RETURN(const double recall, RecallOf(*database_.tree, same, &reads[0]));
    ASSIGN_OR_RETURN(const double fresh_recall, RecallOf(*fresh.tree, same, &reads[1]));
    ASSIGN_OR_RETURN(const double own_recall, RecallOf(*database_.tree, own, &reads[2]));
    ASSIGN_OR_RETURN(const double fresh_own_recall, RecallOf(*fresh.tree, own, &reads[3]));
    const auto mb = [](uint64_t bytes) { return static_cast<double>(bytes) / 1048576.0; };
    const storage::ExtentStats extents = database_.extents->Stats(), fresh_extents = fresh.extents->Stats();
    const double disk = DirectoryMb(Path("churned")), fresh_disk = DirectoryMb(Path("fresh"));
    double most = 0, busy = 0;
    uint64_t missed = 0;
    for (const Round& round : rounds_) most = std::max(most, round.disk_mb), missed += round.missed, busy += 1 / round.busy_inserts_per_s;
    const double p99 = Quantile(all_micros_, 0.99), inserted = static_cast<double>(per_round_) * options_.rounds;
    const nlohmann::json summary = {
        {"summary", true}, {"rows", data_.rows}, {"rounds", options_.rounds}, {"share", options_.share}, {"recall", recall},
        {"fresh_recall", fresh_recall}, {"recall_loss", fresh_recall - recall}, {"reads_per_query", reads[0]},
        {"fresh_reads_per_query", reads[1]}, {"own_rule_recall", own_recall}, {"own_rule_reads", reads[2]},
        {"fresh_own_rule_recall", fresh_own_recall}, {"fresh_own_rule_reads", reads[3]}, {"disk_mb", disk},
        {"fresh_disk_mb", fresh_disk}, {"disk_ratio", disk / fresh_disk}, {"most_disk_ratio", most / fresh_disk},
        {"extent_ratio", mb(extents.bytes) / mb(fresh_extents.live_bytes)}, {"live_ratio", mb(extents.live_bytes) / mb(fresh_extents.live_bytes)},
        {"idle_p50_us", idle_p50_us_}, {"idle_p99_us", idle_p99_us_}, {"p99_us", p99}, {"p99_ratio", p99 / idle_p99_us_},
        {"inserts_per_s", inserted / churn_s_}, {"busy_inserts_per_s", static_cast<double>(rounds_.size()) / busy},
        {"missed", missed}, {"removed", database_.tree->Stats().removed}, {"leaves", database_.tree->Stats().leaves},
        {"fresh_leaves", fresh.tree->Stats().leaves}, {"peak_rss_mb", PeakResidentMb()}};
    std::printf("%s\n", summary.dump().c_str());
    if (options_.plot.empty()) return absl::OkStatus();
    std::vector<std::string> lines;
    for (const Round& round : rounds_) lines.push_back(ToJson(round).dump());
    return Plot("churn", lines, options_.plot);
  }

  const ChurnOptions& options_;
  const AnnData& data_;
  std::mt19937_64 random_;
  TreeDatabase database_;
  std::vector<uint32_t> row_of_;      // by vid
  std::vector<uint64_t> live_, pool_;  // vids; rows, ascending at first
  size_t per_round_ = 0;
  std::vector<float> last_vector_;
  std::vector<double> all_micros_;
  std::vector<Round> rounds_;
  double idle_p50_us_ = 0, idle_p99_us_ = 0, churn_s_ = 0;
  uint64_t last_left_ = 0;  // of the thread that maintains
  absl::Mutex mutex_;
  std::vector<double> micros_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status RunChurn(const ChurnOptions& options) {
  AnnOptions files;
  files.base = options.base, files.query = options.query, files.ground_truth = options.ground_truth;
  files.metric = options.metric, files.limit = options.limit, files.k = options.k;
  ASSIGN_OR_RETURN(const AnnData data, LoadAnnData(files));
  return Churn(options, data).Run();
}

}  // namespace larder::tools
