// For tests: a directory that is gone afterwards, and what is in it.
#ifndef LARDER_STORAGE_TEST_DIRECTORY_H_
#define LARDER_STORAGE_TEST_DIRECTORY_H_

#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace larder::storage {

class TestDirectory {
 public:
  // In memory where the machine offers it: these tests damage files, they do not cut the power.
  TestDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code ignored;
    const bool use_memory = std::filesystem::is_directory(memory, ignored) &&
                            ::access(memory.c_str(), W_OK) == 0 && ::getenv("TMPDIR") == nullptr;
    std::string name =
        ((use_memory ? memory : std::filesystem::temp_directory_path()) / "larder-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    root_ = name;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  std::string path(absl::string_view name) const { return root_ + "/" + std::string(name); }
  bool Exists(absl::string_view name) const { return std::filesystem::exists(path(name)); }
  void Copy(absl::string_view from, absl::string_view to) const {
    std::filesystem::remove_all(path(to));
    std::filesystem::copy(path(from), path(to), std::filesystem::copy_options::recursive);
  }
  std::string Read(absl::string_view name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(absl::string_view name, absl::string_view contents) const {
    std::ofstream(path(name), std::ios::binary | std::ios::trunc).write(contents.data(), contents.size());
  }
  // Relative path -> contents of every regular file under `name`.
  std::map<std::string, std::string> Contents(absl::string_view name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path(name))) {
      if (!entry.is_regular_file()) continue;
      const std::string relative = std::filesystem::relative(entry.path(), root_).string();
      files[relative] = Read(relative);
    }
    return files;
  }

 private:
  std::string root_;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_TEST_DIRECTORY_H_
