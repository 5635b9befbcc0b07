// A regular file that is read at offsets. Errors name the file.
#ifndef LARDER_TOOLS_READERS_INPUT_FILE_H_
#define LARDER_TOOLS_READERS_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder::tools {

// Movable; thread-safe: every read says where.
class InputFile {
 public:
  // NotFound if it is not there, InvalidArgument if it is no regular file.
  static absl::StatusOr<InputFile> Open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  int64_t mtime_ns() const { return mtime_ns_; }  // when it was opened

  // Exactly `length` bytes. DataLoss if the file has become shorter since.
  absl::Status ReadAt(uint64_t offset, size_t length, void* out) const;

 private:
  InputFile() = default;

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  int64_t mtime_ns_ = 0;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_INPUT_FILE_H_
