// larder-ingest: fills a collection from files.
#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "tools/ingest/arguments.h"
#include "tools/ingest/ingest.h"

namespace larder::tools {
namespace {

constexpr int kExitError = 1;
constexpr int kExitInterrupted = 130;
constexpr int kMaxWarnings = 20;  // told one by one; the rest is counted

volatile std::sig_atomic_t interrupted = 0;

// The first signal asks to stop, the second ends the program as it would have without us.
void OnSignal(int) { interrupted = 1; }

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = &OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

class Warnings {
 public:
  void Add(const std::string& text) {
    absl::MutexLock lock(&mutex_);
    if (++count_ <= kMaxWarnings) std::cerr << "larder-ingest: " << text << "\n";
    if (count_ == kMaxWarnings + 1) std::cerr << "larder-ingest: further such lines are only counted\n";
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

void PrintJson(const IngestArguments& arguments, const IngestReport& report) {
  const IngestSummary& summary = report.summary;
  const double seconds = absl::ToDoubleSeconds(report.elapsed);
  nlohmann::ordered_json json = {
      {"collection", arguments.collection},
      {"stored", summary.stored},
      {"unchanged", summary.unchanged},
      {"refused", summary.refused},
      {"skipped", summary.skipped},
      {"chunks", summary.chunks},
      {"sources_done_before", report.sources_done},
      {"unknown_files", report.unknown_files},
      {"resumed", report.resumed},
      {"interrupted", summary.interrupted},
      {"seconds", seconds},
      {"documents_per_second", seconds > 0 ? static_cast<double>(summary.stored) / seconds : 0.0},
      {"error", std::string(summary.status.message())}};
  std::cout << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
}

void PrintText(const IngestReport& report) {
  const IngestSummary& summary = report.summary;
  std::string text = absl::StrCat("stored ", summary.stored, " documents in ", summary.chunks, " chunks");
  if (summary.unchanged > 0) absl::StrAppend(&text, ", ", summary.unchanged, " were stored already");
  if (report.sources_done > 0) absl::StrAppend(&text, ", ", report.sources_done, " sources were done before");
  if (summary.refused + summary.skipped > 0) {
    absl::StrAppend(&text, ", left out ", summary.refused + summary.skipped);
  }
  if (report.unknown_files > 0)
    absl::StrAppend(&text, ", passed over ", report.unknown_files, " other files");
  const double seconds = absl::ToDoubleSeconds(report.elapsed);
  absl::StrAppendFormat(&text, "; %.1f s", seconds);
  if (seconds > 0)
    absl::StrAppendFormat(&text, ", %.0f documents/s", static_cast<double>(summary.stored) / seconds);
  std::cout << text << "\n";
}

int Main(int argc, char** argv) {
  IngestArguments arguments;
  if (std::optional<int> code = ParseIngestArguments(argc, argv, &arguments)) return *code;
  CatchSignals();
  Warnings warnings;
  absl::StatusOr<IngestReport> report = RunIngest(
      arguments, [] { return interrupted != 0; }, [&](const std::string& text) { warnings.Add(text); });
  if (!report.ok()) {
    std::cerr << "larder-ingest: " << report.status().message() << "\n";
    return kExitError;
  }
  arguments.json ? PrintJson(arguments, *report) : PrintText(*report);
  if (!report->summary.status.ok()) {
    std::cerr << "larder-ingest: " << report->summary.status.message()
              << "\nWhat was stored before stays; the same command goes on behind it.\n";
    return kExitError;
  }
  if (report->summary.interrupted) {
    std::cerr << "larder-ingest: stopped; the same command goes on from here.\n";
    return kExitInterrupted;
  }
  return 0;
}

}  // namespace
}  // namespace larder::tools

int main(int argc, char** argv) { return larder::tools::Main(argc, argv); }
