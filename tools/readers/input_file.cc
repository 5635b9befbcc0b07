#include "tools/readers/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::tools {
namespace {

// Linux transfers at most 2^31 - 4096 bytes a call.
constexpr size_t kMaxTransferBytes = 1 << 30;

absl::Status FileError(const std::string& path, absl::string_view action, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot ", action));
}

}  // namespace

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  InputFile file;
  file.path_ = path;
  // Without O_NONBLOCK a named pipe would keep us waiting for its writer.
  file.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) return FileError(path, "open", errno);
  struct stat info;
  if (fstat(file.fd_, &info) != 0) return FileError(path, "stat", errno);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a regular file, found ",
                                                   S_ISDIR(info.st_mode) ? "a directory" : "a device"));
  }
  file.size_ = static_cast<uint64_t>(info.st_size);
  file.mtime_ns_ = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept { *this = std::move(other); }

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(mtime_ns_, other.mtime_ns_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) close(fd_);
}

absl::Status InputFile::ReadAt(uint64_t offset, size_t length, void* out) const {
  char* to = static_cast<char*>(out);
  while (length > 0) {
    ssize_t n = pread(fd_, to, std::min(length, kMaxTransferBytes), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(path_, absl::StrCat("read at byte ", offset), errno);
    if (n == 0) {
      return absl::DataLossError(absl::StrCat(path_, ": byte ", offset, ": expected ", length,
                                              " more bytes, found the end of the file"));
    }
    to += n;
    offset += static_cast<uint64_t>(n);
    length -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace larder::tools
