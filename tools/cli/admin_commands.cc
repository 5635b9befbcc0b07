// stats, verify, compact, repair.

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/cli/recall_text.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

std::string StatsText(const DatabaseStats& stats) {
  return absl::StrCat("commit       ", Thousands(stats.commit), "\n",                //
                      "collections  ", Thousands(stats.collections), "\n",           //
                      "documents    ", Thousands(stats.documents), "\n",             //
                      "chunks       ", Thousands(stats.chunks), "\n",                //
                      "KV entries   ", Thousands(stats.kv_entries), "\n",            //
                      "store        ", HumanBytes(stats.store_bytes), "\n",          //
                      "extents      ", HumanBytes(stats.extent_bytes), ", ",         //
                      HumanBytes(stats.extent_live_bytes), " of them live\n",        //
                      "indexes      ", HumanBytes(stats.index_bytes), " on disk, ",  //
                      HumanBytes(stats.resident_index_bytes), " in memory\n",
                      "memory       ", HumanBytes(stats.resident_index_bytes), " of indexes, ",
                      HumanBytes(stats.resident_directory_bytes), " of the directory, ",
                      HumanBytes(stats.resident_store_bytes), " of the store",
                      stats.memory_bytes > 0 ? absl::StrCat("; at most ", HumanBytes(stats.memory_bytes)) : "", "\n");
}

// The recall of every vector space, as JSON and as lines.
absl::Status AddRecall(Backend& backend, Json* json, std::string* text) {
  (*json)["recall"] = Json::array();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, backend.ListCollections());
  for (const std::string& name : names) {
    const auto description = backend.DescribeCollection(name);
    if (absl::IsNotFound(description.status())) continue;  // dropped meanwhile
    RETURN_IF_ERROR(description.status());
    for (const VectorSpaceInfo& space : description->info.spaces) {
      Json line = RecallJson(space);
      if (line.is_null()) line = Json::object();
      line["collection"] = name;
      line["space"] = space.name;
      (*json)["recall"].push_back(std::move(line));
      absl::StrAppend(text, "recall       ", RecallText(space), "  ", Printable(name), "/", Printable(space.name), "\n");
    }
  }
  return absl::OkStatus();
}

absl::Status RunStats(Session& session) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const DatabaseStats stats, backend->Stats());
  Json json = ToJson(stats);
  std::string text = StatsText(stats);
  RETURN_IF_ERROR(AddRecall(*backend, &json, &text));
  session.Show(json, text);
  return absl::OkStatus();
}

void PrintReport(Session& session, const VerifyReport& report) {
  if (!report.problems.empty()) session.set_exit_code(kExitProblems);
  if (session.json()) {
    session.PrintJson(ToJson(report));
    return;
  }
  for (const std::string& problem : report.problems)
    session.Print(absl::StrCat("problem: ", Printable(problem), "\n"));
  session.Print(absl::StrCat(
      report.problems.empty() ? "clean" : absl::StrCat(Thousands(report.problems.size()), " problems"),
      ": checked ", Thousands(report.records), " records, ", Thousands(report.extents), " extents, ",
      Thousands(report.index_entries), " index entries\n"));
}

absl::Status RunVerify(Session& session) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const VerifyReport report, backend->Verify());
  PrintReport(session, report);
  return absl::OkStatus();
}

absl::Status RunCompact(Session& session) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const DatabaseStats before, backend->Stats());
  RETURN_IF_ERROR(backend->Compact());
  ASSIGN_OR_RETURN(const DatabaseStats after, backend->Stats());
  const auto disk = [](const DatabaseStats& s) { return s.store_bytes + s.extent_bytes + s.index_bytes; };
  session.Show(Json{{"bytes_before", disk(before)}, {"bytes_after", disk(after)}},
               absl::StrCat("compacted: ", HumanBytes(disk(before)), " before, ", HumanBytes(disk(after)),
                            " after\n"));
  return absl::OkStatus();
}

struct RepairArgs {
  std::string directory;
  bool accept_data_loss = false;
};

// What the damaged database says of itself when opened; OK if there is nothing to repair.
absl::Status Diagnose(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(directory));
  return database->Close();
}

absl::Status RunRepair(Session& session, const RepairArgs& args) {
  const absl::Status diagnosis = Diagnose(args.directory);
  if (!diagnosis.ok() && !absl::IsDataLoss(diagnosis)) return diagnosis;
  if (diagnosis.ok() || !args.accept_data_loss) {
    if (!diagnosis.ok()) return diagnosis;
    session.Show(Json{{"repaired", false}}, "nothing to repair: it opens as it is\n");
    return absl::OkStatus();
  }
  OpenOptions options;
  options.accept_data_loss = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(args.directory, options));
  ASSIGN_OR_RETURN(const DatabaseStats stats, database->Stats());
  ASSIGN_OR_RETURN(const VerifyReport report, database->Verify());
  RETURN_IF_ERROR(database->Close());
  if (session.json()) {
    if (!report.problems.empty()) session.set_exit_code(kExitProblems);
    session.PrintJson(Json{{"repaired", true},
                           {"lost", std::string(diagnosis.message())},
                           {"left", ToJson(stats)},
                           {"verify", ToJson(report)}});
    return absl::OkStatus();
  }
  session.Print(absl::StrCat("lost: ", diagnosis.message(), "\n\nleft:\n", StatsText(stats), "\n"));
  PrintReport(session, report);
  return absl::OkStatus();
}

}  // namespace

void AddAdminCommands(CLI::App& app, Session& session) {
  CLI::App* stats = session.AddCommand(app, "stats", "Shows what the database holds and weighs",
                                       "larder stats --db pantry");
  session.OnCall(stats, [&session] { return RunStats(session); });

  CLI::App* verify =
      session.AddCommand(app, "verify", "Reads everything and compares it; exit code 3 for problems",
                         "larder verify --db pantry");
  session.OnCall(verify, [&session] { return RunVerify(session); });

  CLI::App* compact =
      session.AddCommand(app, "compact", "Frees the space of what was deleted", "larder compact --db pantry");
  session.OnCall(compact, [&session] { return RunCompact(session); });

  auto args = std::make_shared<RepairArgs>();
  CLI::App* repair =
      session.AddCommand(app, "repair", "Opens a damaged database and keeps what is left",
                         "larder repair pantry                      (says what is wrong)\n"
                         "  larder repair --accept-data-loss pantry   (what is left becomes the truth)",
                         /*needs_database=*/false);
  repair->add_option("directory", args->directory, "The database")->required();
  repair->add_flag("--accept-data-loss", args->accept_data_loss,
                   "Go on without what was lost. Copy the directory first");
  session.OnCall(repair, [&session, args] { return RunRepair(session, *args); });
}

}  // namespace larder::tools
