// larder-bench: how fast, how exact, how large; beside rivals in the same run.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tools/bench/commands.h"

int main(int argc, char** argv) {
  CLI::App app("Measures Larder: how fast, how exact, how large.", "larder-bench");
  app.require_subcommand(1);
  larder::tools::BenchCommands commands(&app);
  larder::tools::AddIndexCommands(&commands);
  larder::tools::AddKvCommands(&commands);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = commands.Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "larder-bench: %s\n", status.ToString().c_str());
  return 1;
}
