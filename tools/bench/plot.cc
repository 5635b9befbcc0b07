#include "tools/bench/plot.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace larder::tools {

absl::Status Plot(absl::string_view subject, const std::vector<std::string>& lines, const std::string& path) {
  const std::string rows = absl::StrCat(path, ".jsonl");
  std::ofstream file(rows);
  for (const std::string& line : lines) file << line << '\n';
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat(rows, ": cannot be written"));
  const std::string name(subject);
  const char* const arguments[] = {"python3",    LARDER_BENCH_PLOT, name.c_str(),
                                   rows.c_str(), path.c_str(),      nullptr};
  pid_t child = 0;
  int status = 1;
  if (posix_spawnp(&child, "python3", nullptr, nullptr, const_cast<char* const*>(arguments), environ) == 0) {
    waitpid(child, &status, 0);
  }
  unlink(rows.c_str());
  return status == 0 ? absl::OkStatus() : absl::FailedPreconditionError(absl::StrCat(path, ": not drawn"));
}

}  // namespace larder::tools
