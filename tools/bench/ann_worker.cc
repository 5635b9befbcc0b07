#include "tools/bench/ann_worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/bench/process_memory.h"
#include "tools/progress.h"

namespace larder::tools {
namespace {

using nlohmann::json;

// Rows as they come, with a progress bar.
class CountedRows : public RowSource {
 public:
  CountedRows(std::unique_ptr<RowSource> rows, const std::string& label)
      : rows_(std::move(rows)), progress_(Options(label)) {}
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

absl::StatusOr<AnnFigures> Build(AnnSystem* system, const AnnData& data, const AnnOptions& options) {
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
  figures.code = system->code();
  ASSIGN_OR_RETURN(figures.reopen_ms, system->Reopen(data.queries[0]));
  if (!options.target_recall.empty()) RETURN_IF_ERROR(system->Calibrate());
  return figures;
}

absl::StatusOr<SearchPass> Search(const AnnSystem& system, const AnnData& data, uint32_t threads, uint32_t ef,
                                  double target_recall) {
  SearchPass pass;
  std::vector<uint32_t> probe;
  pass.ef = ef;
  if (target_recall > 0) {
    const absl::Status status = system.SearchFor(data.queries[0], target_recall, &probe, &pass.ef);
    if (absl::IsUnimplemented(status)) return SearchPass();
    RETURN_IF_ERROR(status);
  }
  std::vector<std::vector<uint32_t>> found(data.queries.size());
  std::vector<double> micros(data.queries.size());
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(InThreads(threads, [&](uint32_t t) -> absl::Status {
    for (size_t q = t; q < data.queries.size(); q += threads) {
      const absl::Time before = absl::Now();
      uint32_t chosen = ef;
      RETURN_IF_ERROR(target_recall > 0 ? system.SearchFor(data.queries[q], target_recall, &found[q], &chosen)
                                        : system.Search(data.queries[q], ef, &found[q]));
      micros[q] = absl::ToDoubleMicroseconds(absl::Now() - before);
    }
    return absl::OkStatus();
  }));
  pass.qps = static_cast<double>(data.queries.size()) / absl::ToDoubleSeconds(absl::Now() - start);
  pass.p50_us = Quantile(micros, 0.5);
  pass.p99_us = Quantile(micros, 0.99);
  pass.recall = Recall(found, data.truth);
  return pass;
}

// The channel carries a JSON value a line: from the worker its systems' figures, then a pass for each
// [system, ef, target recall] that it is sent; {"error": message} where it failed.
void Say(FILE* to, const json& value) {
  std::fprintf(to, "%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  std::fflush(to);
}

json Figures(const AnnFigures& f) {
  return {f.index, f.build_s, f.bytes_per_vector, f.peak_rss_mb, f.final_rss_mb, f.reopen_ms, f.code};
}

AnnFigures Figures(const json& line) {
  AnnFigures f;
  f.index = line[0];
  f.build_s = line[1], f.bytes_per_vector = line[2], f.peak_rss_mb = line[3], f.final_rss_mb = line[4];
  f.reopen_ms = line[5];
  f.code = line[6];
  return f;
}

// The worker's life.
absl::Status Work(const std::string& index, const AnnData& data, const AnnOptions& options, FILE* from,
                  FILE* to) {
  const std::unique_ptr<AnnSystem> built =
      index == "hnswlib" ? MakeHnswlibSystem() : MakeLarderSystem(index, options.directory);
  ASSIGN_OR_RETURN(AnnFigures figures, Build(built.get(), data, options));
  json systems = {Figures(figures)};
  std::unique_ptr<AnnSystem> rpc;
  if (options.rpc && index != "hnswlib") {
    ASSIGN_OR_RETURN(rpc, MakeRpcSystem(built.get()));
    figures.index = rpc->name();
    systems.push_back(Figures(figures));
  }
  Say(to, systems);
  unsigned system = 0, ef = 0;
  double target = 0;
  while (std::fscanf(from, " [%u,%u,%lf]", &system, &ef, &target) == 3) {
    ASSIGN_OR_RETURN(const SearchPass pass, Search(system == 0 ? *built : *rpc, data, options.threads, ef, target));
    Say(to, {pass.qps, pass.p50_us, pass.p99_us, pass.recall, pass.ef});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<AnnWorker>> AnnWorker::Start(const std::string& index, const AnnData& data,
                                                            const AnnOptions& options) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
  }
  std::fflush(nullptr);
  const pid_t process = fork();
  if (process < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  close(ends[process == 0 ? 0 : 1]);
  const int end = ends[process == 0 ? 1 : 0];
  FILE* from = fdopen(end, "r");
  FILE* to = fdopen(fcntl(end, F_DUPFD_CLOEXEC, 0), "w");
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody would read its figures
    const absl::Status status = Work(index, data, options, from, to);
    if (!status.ok()) Say(to, {{"error", status.ToString()}});
    _exit(0);
  }
  std::unique_ptr<AnnWorker> worker(new AnnWorker(index, process, from, to));
  ASSIGN_OR_RETURN(const std::string line, worker->ReadLine());
  for (const json& figures : json::parse(line)) worker->systems_.push_back(Figures(figures));
  return worker;
}

AnnWorker::~AnnWorker() {
  shutdown(fileno(from_), SHUT_RDWR);  // later workers have inherited this end
  std::fclose(from_);
  std::fclose(to_);
  waitpid(process_, nullptr, 0);
}

absl::StatusOr<std::string> AnnWorker::ReadLine() {
  std::string line;
  for (int c; (c = std::fgetc(from_)) != '\n';) {
    if (c == EOF) return absl::InternalError(absl::StrCat("the process that measures ", index_, " ended"));
    line.push_back(static_cast<char>(c));
  }
  if (const json value = json::parse(line); value.is_object()) {
    return absl::InternalError(absl::StrCat(index_, ": ", value["error"].get<std::string>()));
  }
  return line;
}

absl::StatusOr<SearchPass> AnnWorker::Search(size_t system, uint32_t ef, double target_recall) {
  Say(to_, {system, ef, target_recall});
  ASSIGN_OR_RETURN(const std::string line, ReadLine());
  const json pass = json::parse(line);
  return SearchPass{pass[0], pass[1], pass[2], pass[3], pass[4]};
}

}  // namespace larder::tools
