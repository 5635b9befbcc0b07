// backup, backups, restore.

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

struct BackupArgs {
  std::string place, path;
  uint64_t id = 0;
};

absl::Status RunBackup(Session& session, const BackupArgs& args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const BackupInfo backup, backend->Backup(args.place));
  session.Show(ToJson(backup),
               absl::StrCat("backup ", backup.id, " in ", args.place, ": ", HumanBytes(backup.bytes),
                            ", commit ", Thousands(backup.commit), "\n"));
  return absl::OkStatus();
}

// A directory of backups is read without the database they were taken of.
absl::StatusOr<std::vector<BackupInfo>> ListBackups(Session& session, const std::string& place) {
  if (!session.names_server()) return Database::ListBackups(place);
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  return backend->ListBackups(place);
}

absl::Status RunBackups(Session& session, const BackupArgs& args) {
  ASSIGN_OR_RETURN(const std::vector<BackupInfo> backups, ListBackups(session, args.place));
  Table table({"id", "taken", "size", "commit"});
  for (const BackupInfo& backup : backups) {
    if (session.json()) session.PrintJson(ToJson(backup));
    if (backup.problem.empty()) {
      table.Add({absl::StrCat(backup.id), UtcTime(backup.created_ms), HumanBytes(backup.bytes),
                 Thousands(backup.commit)});
    } else {
      table.Add({absl::StrCat(backup.id), absl::StrCat("cannot be restored: ", Printable(backup.problem)),
                 "-", "-"});
    }
  }
  if (!session.json()) session.Print(backups.empty() ? "no backups\n" : table.ToString());
  return absl::OkStatus();
}

absl::Status RunRestore(Session& session, const BackupArgs& args) {
  RETURN_IF_ERROR(Database::Restore(args.place, args.path, args.id));
  session.Show(Json{{"restored", args.path}}, absl::StrCat("restored ", args.path, "\n"));
  return absl::OkStatus();
}

}  // namespace

void AddBackupCommands(CLI::App& app, Session& session) {
  auto args = std::make_shared<BackupArgs>();
  CLI::App* backup = session.AddCommand(app, "backup", "Takes a consistent copy while the database is in use",
                                        "larder backup /mnt/safe/pantry --db pantry\n"
                                        "  larder backup nightly --server 127.0.0.1:7614");
  backup
      ->add_option("place", args->place,
                   "Directory of backups; with --server, a name under its --backup-root")
      ->required();
  session.OnCall(backup, [&session, args] { return RunBackup(session, *args); });

  CLI::App* backups = session.AddCommand(app, "backups", "Lists the backups in a directory",
                                         "larder backups /mnt/safe/pantry\n"
                                         "  larder backups nightly --server 127.0.0.1:7614");
  backups
      ->add_option("place", args->place,
                   "Directory of backups; with --server, a name under its --backup-root")
      ->required();
  session.OnCall(backups, [&session, args] { return RunBackups(session, *args); });

  CLI::App* restore =
      session.AddCommand(app, "restore", "Makes a new database from a backup",
                         "larder restore /mnt/safe/pantry pantry2 --id 3", /*needs_database=*/false);
  restore->add_option("backups", args->place, "Directory of backups")->required();
  restore->add_option("directory", args->path, "The new database; must not exist")->required();
  restore->add_option("--id", args->id, "Which backup; 0 = the newest")->capture_default_str();
  session.OnCall(restore, [&session, args] { return RunRestore(session, *args); });
}

}  // namespace larder::tools
