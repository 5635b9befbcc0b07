// The subcommands of larder-bench. Each adds itself to the program: its options, and what it does when it
// was asked for.
#ifndef LARDER_TOOLS_BENCH_COMMANDS_H_
#define LARDER_TOOLS_BENCH_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace larder::tools {

struct BenchCommand {
  CLI::App* app = nullptr;
  std::function<absl::Status()> run;
};

class BenchCommands {
 public:
  explicit BenchCommands(CLI::App* program) : program_(program) {}

  // `declare` names the options of an Options that lives as long as this; `run` gets them when parsed.
  template <typename Options>
  void Add(const std::string& name, const std::string& what, void (*declare)(CLI::App*, Options*),
           absl::Status (*run)(const Options&)) {
    auto options = std::make_shared<Options>();
    CLI::App* app = program_->add_subcommand(name, what);
    declare(app, options.get());
    commands_.push_back({app, [options, run] { return run(*options); }});
  }

  // Runs the one that was asked for.
  absl::Status Run() const {
    for (const BenchCommand& command : commands_) {
      if (command.app->parsed()) return command.run();
    }
    return absl::InvalidArgumentError("no command");
  }

 private:
  CLI::App* const program_;
  std::vector<BenchCommand> commands_;
};

void AddIndexCommands(BenchCommands* commands);  // ann, retrieval, codes, disk, kernels
void AddKvCommands(BenchCommands* commands);     // kv-*

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_COMMANDS_H_
