// Files for the readers' tests: a folder that is removed with the fixture.
#ifndef LARDER_TOOLS_READERS_TEST_FILES_H_
#define LARDER_TOOLS_READERS_TEST_FILES_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace larder::tools {

class TestFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "larder-readers-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Write(const std::string& name, absl::string_view bytes) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(Path(name), std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return Path(name);
  }

  std::filesystem::path folder_;
};

// The bytes of numbers, as a file holds them.
template <typename T>
std::string Bytes(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

// A .npy file's header, padded as NumPy pads it.
inline std::string NpyHeaderBytes(const std::string& dict, int version = 1) {
  const size_t begin = version == 1 ? 10 : 12;
  std::string text = dict + std::string(63 - (begin + dict.size()) % 64, ' ') + "\n";
  std::string length(begin - 8, '\0');
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' + length + text;
}

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_TEST_FILES_H_
