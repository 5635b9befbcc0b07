#include "tools/bench/kv.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/bench/plot.h"

namespace larder::tools {
namespace {

constexpr std::pair<const char*, KvSection> kSections[] = {
    {"reorder", MeasureReorder},
    {"disk", MeasureDisk},
    {"local", MeasureLocal},
    {"codec", MeasureCodecs},
};

absl::Status CheckNames(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool known = std::any_of(std::begin(kSections), std::end(kSections),
                                   [&](const auto& section) { return name == section.first; });
    if (!known) return absl::InvalidArgumentError(absl::StrCat("kv: there is no section \"", name, "\""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunKv(const KvOptions& options) {
  RETURN_IF_ERROR(CheckNames(options.sections));
  nlohmann::ordered_json summary = {{"section", "summary"}};
  std::vector<std::string> lines;
  const auto add = [&](const nlohmann::ordered_json& line) {
    lines.push_back(line.dump());
    if (options.json) std::printf("%s\n", lines.back().c_str());
  };
  for (const auto& [name, measure] : kSections) {
    const auto& wanted = options.sections;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
    ASSIGN_OR_RETURN(const KvResult result, measure(options));
    for (const nlohmann::ordered_json& detail : result.lines) {
      nlohmann::ordered_json line = {{"section", name}};
      line.update(detail);
      add(line);
    }
    for (const KvFigure& figure : result.figures) {
      summary[figure.name] = figure.value;
      if (!options.json)
        std::printf("%-9s %-24s %12.4g  %s\n", name, figure.name.c_str(), figure.value, figure.text.c_str());
    }
    std::fflush(stdout);
  }
  add(summary);
  if (!options.json) std::printf("%s\n", lines.back().c_str());
  return options.plot.empty() ? absl::OkStatus() : Plot("kv", lines, options.plot);
}

}  // namespace larder::tools
