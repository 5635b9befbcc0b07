// What every command shares: where the database is, how to print, what to do once the arguments
// have been read. Single-threaded.
#ifndef LARDER_TOOLS_CLI_SESSION_H_
#define LARDER_TOOLS_CLI_SESSION_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/backend.h"
#include "tools/cli/json.h"

namespace larder::tools {

inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitProblems = 3;  // verify found some

// CLI11's help without what clutters it: which options exclude which, and "ENUM:" before names.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override;
};

class Session {
 public:
  using Action = std::function<absl::Status()>;

  // Adds a command with its one-line description and an example that its help ends with.
  // `needs_database` gives it --db, --server and their kin; every command has --json.
  CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& description,
                       const std::string& example, bool needs_database = true);
  // The options that AddCommand adds; for the program itself, so that they may stand first.
  void AddDatabaseOptions(CLI::App& app);
  void AddJsonOption(CLI::App& app);
  // `action` runs after parsing, if `command` is the one that was called.
  void OnCall(CLI::App* command, Action action);

  // Runs the chosen action, closes the database, reports a failure on standard error. Returns the
  // exit code.
  int Run();

  // The database named by the options, else by $LARDER_DB or $LARDER_SERVER. Owned by the session.
  absl::StatusOr<Backend*> Open(bool create_if_missing = false);
  // A server was named by option, not by the environment.
  bool names_server() const { return !address_.server.empty(); }

  bool json() const { return json_; }
  void Print(absl::string_view text);
  void PrintJson(const Json& json);
  // The one or the other, by --json.
  void Show(const Json& json, absl::string_view text);
  void set_exit_code(int code) { exit_code_ = code; }
  // For arguments that are each fine but do not fit together: exit code 2.
  absl::Status Usage(absl::string_view message);

 private:
  absl::Status ResolveAddress();

  Address address_;
  bool json_ = false;
  int exit_code_ = 0;
  Action action_;
  std::unique_ptr<Backend> backend_;
};

// One for each group of commands.
void AddCollectionCommands(CLI::App& app, Session& session);
void AddDocumentCommands(CLI::App& app, Session& session);
void AddPutCommand(CLI::App& app, Session& session);
void AddSearchCommand(CLI::App& app, Session& session);
void AddAdminCommands(CLI::App& app, Session& session);
void AddBackupCommands(CLI::App& app, Session& session);
void AddKvCommands(CLI::App& app, Session& session);
void AddKvTierCommands(CLI::App& kv, Session& session);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_SESSION_H_
