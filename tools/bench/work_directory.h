// Where a benchmark makes its databases.
#ifndef LARDER_TOOLS_BENCH_WORK_DIRECTORY_H_
#define LARDER_TOOLS_BENCH_WORK_DIRECTORY_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/status/status.h"

namespace larder::tools {

// A directory for databases: the given one, or one that is removed at the end.
class WorkDirectory {
 public:
  explicit WorkDirectory(std::string* path) {
    if (!path->empty()) return;
    std::string pattern = (std::filesystem::temp_directory_path() / "larder-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) made_ = *path = pattern;
  }
  ~WorkDirectory() {
    std::error_code error;
    if (!made_.empty()) std::filesystem::remove_all(made_, error);
  }

 private:
  std::string made_;
};

// With a directory that is gone afterwards, unless one was given.
template <typename Options, absl::Status (*Run)(const Options&)>
absl::Status InDirectory(const Options& given) {
  Options options = given;
  const WorkDirectory directory(&options.directory);
  return Run(options);
}

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_WORK_DIRECTORY_H_
