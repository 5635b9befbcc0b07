#include "tools/cli/session.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (option->get_type_size() == 0) return "";  // a flag
  std::string type = option->get_type_name();
  if (const size_t colon = type.find("ENUM:"); colon == 0) type = type.substr(5);
  if (option->get_positional()) type = option->get_expected_max() > 1 ? "..." : "";
  std::string text = type.empty() ? "" : absl::StrCat(" ", type);
  if (!option->get_default_str().empty()) absl::StrAppend(&text, "=", option->get_default_str());
  return text;
}

CLI::App* Session::AddCommand(CLI::App& parent, const std::string& name, const std::string& description,
                              const std::string& example, bool needs_database) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer(absl::StrCat("Example:\n  ", example));
  if (needs_database) AddDatabaseOptions(*command);
  AddJsonOption(*command);
  return command;
}

void Session::AddDatabaseOptions(CLI::App& app) {
  constexpr const char* kGroup = "Database";
  CLI::Option* db = app.add_option("--db", address_.db, "Directory of the database; else $LARDER_DB")
                        ->type_name("DIR")
                        ->group(kGroup);
  app.add_option("--server", address_.server, "A larderd; else $LARDER_SERVER")
      ->type_name("HOST:PORT")
      ->group(kGroup)
      ->excludes(db);
}

void Session::AddJsonOption(CLI::App& app) {
  app.add_flag("--json", json_, "Print JSON: one object, or one a line for lists");
}

void Session::OnCall(CLI::App* command, Action action) {
  command->callback([this, action = std::move(action)] { action_ = action; });
}

int Session::Run() {
  absl::Status status = action_();
  if (backend_ != nullptr) {
    const absl::Status closed = backend_->Close();
    if (status.ok()) status = closed;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    status.Update(absl::UnavailableError("could not write to standard output"));
  }
  if (status.ok()) return exit_code_;
  std::fflush(stdout);
  std::fprintf(stderr, "larder: %s\n", std::string(status.message()).c_str());
  return exit_code_ == 0 ? kExitError : exit_code_;
}

absl::Status Session::ResolveAddress() {
  if (address_.db.empty() && address_.server.empty()) {
    address_.db = Environment("LARDER_DB");
    address_.server = Environment("LARDER_SERVER");
    if (!address_.db.empty() && !address_.server.empty()) {
      return Usage("both $LARDER_DB and $LARDER_SERVER are set; say --db or --server");
    }
  }
  if (address_.db.empty() && address_.server.empty()) {
    return Usage("which database? --db DIR (or $LARDER_DB), or --server HOST:PORT (or $LARDER_SERVER)");
  }
  return absl::OkStatus();
}

absl::StatusOr<Backend*> Session::Open(bool create_if_missing) {
  RETURN_IF_ERROR(ResolveAddress());
  ASSIGN_OR_RETURN(backend_, OpenBackend(address_, create_if_missing));
  return backend_.get();
}

void Session::Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void Session::PrintJson(const Json& json) { Print(ToLine(json)); }

void Session::Show(const Json& json, absl::string_view text) { Print(json_ ? ToLine(json) : text); }

absl::Status Session::Usage(absl::string_view message) {
  exit_code_ = kExitUsage;
  return absl::InvalidArgumentError(message);
}

}  // namespace larder::tools
