#include "storage/posix_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

int OpenRetrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

}  // namespace

absl::Status ErrnoToStatus(int error, absl::string_view operation, absl::string_view path) {
  const std::string message = absl::StrCat(operation, " ", path, ": ", strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ELOOP:
      return absl::InvalidArgumentError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  return absl::StrCat(directory, "/", name);
}

std::string ParentDirectory(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

FileSystem& FileSystem::Posix() {
  static FileSystem* const posix = new FileSystem;
  return *posix;
}

absl::Status FileSystem::WriteNew(const std::string& path, absl::string_view contents) {
  Descriptor file(OpenRetrying(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
  if (file.get() < 0) return ErrnoToStatus(errno, "create", path);
  while (!contents.empty()) {
    const ssize_t written = ::write(file.get(), contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoToStatus(errno, "write", path);
    contents.remove_prefix(static_cast<size_t>(written));
  }
  if (::fdatasync(file.get()) != 0) return ErrnoToStatus(errno, "fdatasync", path);
  if (file.Close() != 0) return ErrnoToStatus(errno, "close", path);
  return absl::OkStatus();
}

absl::Status FileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoToStatus(errno, "rename to", to);
  return absl::OkStatus();
}

absl::Status FileSystem::SyncDirectory(const std::string& path) {
  Descriptor directory(OpenRetrying(path, O_RDONLY | O_DIRECTORY));
  if (directory.get() < 0) return ErrnoToStatus(errno, "open directory", path);
  if (::fsync(directory.get()) != 0) return ErrnoToStatus(errno, "fsync directory", path);
  return absl::OkStatus();
}

absl::StatusOr<DiskSpace> FileSystem::Space(const std::string& path) {
  struct statvfs info;
  if (::statvfs(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "statvfs", path);
  return DiskSpace{info.f_bavail * info.f_frsize, info.f_blocks * info.f_frsize};
}

absl::Status WriteFileAtomically(FileSystem& files, const std::string& path, absl::string_view contents) {
  const std::string temporary = path + ".tmp";
  absl::Status status = files.WriteNew(temporary, contents);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    ::unlink(temporary.c_str());  // best effort: it is overwritten the next time
    return status;
  }
  return files.SyncDirectory(ParentDirectory(path));
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, uint64_t max_bytes) {
  Descriptor file(OpenRetrying(path, O_RDONLY | O_NOFOLLOW));
  if (file.get() < 0) return ErrnoToStatus(errno, "open", path);
  std::string contents;
  char buffer[16 << 10];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "read", path);
    if (got == 0) return contents;
    contents.append(buffer, static_cast<size_t>(got));
    if (contents.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": longer than the expected ", max_bytes, " bytes"));
    }
  }
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "stat", path);
  return static_cast<uint64_t>(info.st_size);
}

bool PathExists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

bool IsSymbolicLink(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

absl::Status MakeDirectories(FileSystem& files, const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return files.SyncDirectory(ParentDirectory(path));
  if (errno == ENOENT && ParentDirectory(path) != path) {
    RETURN_IF_ERROR(MakeDirectories(files, ParentDirectory(path)));
    if (::mkdir(path.c_str(), 0755) == 0) return files.SyncDirectory(ParentDirectory(path));
  }
  if (errno != EEXIST) return ErrnoToStatus(errno, "create directory", path);
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "stat", path);
  if (!S_ISDIR(info.st_mode)) return ErrnoToStatus(ENOTDIR, "create directory", path);
  return absl::OkStatus();
}

absl::Status RemoveFileIfPresent(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoToStatus(errno, "remove", path);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoToStatus(error.value(), "remove", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return ErrnoToStatus(errno, "open directory", path);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  ::closedir(directory);
  if (error != 0) return ErrnoToStatus(error, "read directory", path);
  std::sort(names.begin(), names.end());
  return names;
}

uint64_t TreeBytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(path, error), end;
  while (!error && it != end) {
    std::error_code file_error;  // files come and go while we look
    if (it->is_regular_file(file_error)) {
      const uint64_t size = it->file_size(file_error);
      if (!file_error) bytes += size;
    }
    it.increment(error);
  }
  return bytes;
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  Descriptor file(OpenRetrying(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
  if (file.get() < 0) return ErrnoToStatus(errno, "open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return FileLock(std::move(file));
  if (errno == EWOULDBLOCK) {
    return absl::UnavailableError(absl::StrCat(path, ": held by another open database or process"));
  }
  return ErrnoToStatus(errno, "lock", path);
}

}  // namespace larder::storage
