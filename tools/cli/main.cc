// larder: looks after a database from the command line.
#include <csignal>
#include <memory>
#include <string>

#include "tools/cli/session.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // `larder scroll | head` ends with a message, and closes the database
  larder::tools::Session session;
  CLI::App app("larder: looks after a Larder database, in a directory or behind a server.", "larder");
  app.set_version_flag("--version", "larder " LARDER_VERSION);
  app.require_subcommand(1);
  app.formatter(std::make_shared<larder::tools::HelpFormatter>());
  app.get_formatter()->column_width(30);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "larder: " + std::string(error.what()) + "\nsee: " + failed->get_display_name() + " --help\n";
  });
  app.footer(
      "Example:\n"
      "  export LARDER_DB=pantry\n"
      "  larder create docs\n"
      "  larder put docs --id carrots --text 'Carrots keep for months in damp sand.'\n"
      "  larder search docs 'how do I store root vegetables?'\n\n"
      "`larder COMMAND --help` explains one command. Exit codes: 0 done, 1 failed, 2 wrong usage,\n"
      "3 verify found problems. Many documents at once: larder-ingest.");
  session.AddDatabaseOptions(app);
  session.AddJsonOption(app);
  larder::tools::AddCollectionCommands(app, session);
  larder::tools::AddPutCommand(app, session);
  larder::tools::AddDocumentCommands(app, session);
  larder::tools::AddSearchCommand(app, session);
  larder::tools::AddKvCommands(app, session);
  larder::tools::AddAdminCommands(app, session);
  larder::tools::AddBackupCommands(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : larder::tools::kExitUsage;
  }
  return session.Run();
}
