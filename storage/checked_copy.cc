#include "storage/checked_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    good_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }
  void Add(absl::string_view data) {
    good_ = good_ && EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1;
  }
  absl::StatusOr<std::string> Hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    good_ = good_ && EVP_DigestFinal_ex(context_.get(), digest, &size) == 1;
    if (!good_) return absl::InternalError("SHA-256: OpenSSL refuses");
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool good_;
};

// Component by component, so that no symbolic link is followed on the way.
absl::StatusOr<Descriptor> OpenBelow(const std::string& root, const std::string& path) {
  Descriptor at(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) return ErrnoToStatus(errno, "open directory", root);
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const int kind = i + 1 < parts.size() ? O_DIRECTORY : O_NONBLOCK;  // a fifo must not hold us up
    Descriptor next(::openat(at.get(), parts[i].c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind));
    if (next.get() < 0 && (errno == ELOOP || errno == ENOTDIR)) {
      return absl::InvalidArgumentError(
          absl::StrCat(JoinPath(root, path), ": a symbolic link or not a directory on the way"));
    }
    if (next.get() < 0) return ErrnoToStatus(errno, "open", JoinPath(root, path));
    at = std::move(next);
  }
  struct stat info;
  if (::fstat(at.get(), &info) != 0) return ErrnoToStatus(errno, "stat", JoinPath(root, path));
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(JoinPath(root, path), ": not a regular file"));
  }
  return at;
}

absl::Status WriteAll(int fd, absl::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoToStatus(errno, "write", path);
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BackupFile> CopyAndHash(const std::string& root, const std::string& path,
                                       const std::string& to, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const Descriptor from, OpenBelow(root, path));
  Descriptor out(to.empty() ? -1 : ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!to.empty() && out.get() < 0) return ErrnoToStatus(errno, "create", to);
  const std::unique_ptr<char[]> buffer(new char[kBufferBytes]);
  Sha256 sha256;
  BackupFile file;
  while (true) {
    const ssize_t got = ::read(from.get(), buffer.get(), kBufferBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "read", JoinPath(root, path));
    if (got == 0) break;
    const absl::string_view data(buffer.get(), static_cast<size_t>(got));
    file.bytes += data.size();
    if (file.bytes > max_bytes) {
      return absl::DataLossError(
          absl::StrCat(JoinPath(root, path), ": longer than the expected ", max_bytes, " bytes"));
    }
    sha256.Add(data);
    if (!to.empty()) RETURN_IF_ERROR(WriteAll(out.get(), data, to));
  }
  if (!to.empty() && ::fdatasync(out.get()) != 0) return ErrnoToStatus(errno, "fdatasync", to);
  if (!to.empty() && out.Close() != 0) return ErrnoToStatus(errno, "close", to);
  ASSIGN_OR_RETURN(file.sha256, sha256.Hex());
  return file;
}

absl::StatusOr<std::vector<std::string>> ListRegularFiles(const std::string& root) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(root, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::filesystem::file_status status = it->symlink_status(error);
    if (error) break;
    if (std::filesystem::is_directory(status)) continue;
    const std::string path = it->path().string();
    if (!std::filesystem::is_regular_file(status)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
    }
    paths.push_back(path.substr(root.size() + 1));
  }
  if (error) return ErrnoToStatus(error.value(), "list", root);
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::Status SyncTree(FileSystem& files, const std::string& root) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(root, error), end;
  for (; !error && it != end; it.increment(error)) {
    if (it->is_directory(error)) RETURN_IF_ERROR(files.SyncDirectory(it->path().string()));
  }
  if (error) return ErrnoToStatus(error.value(), "list", root);
  return files.SyncDirectory(root);
}

}  // namespace larder::storage
