// The few file operations that the store does itself, beside RocksDB: small files that appear whole
// or not at all, directories, locks. Errors name the operation and the path: a full disk
// is ResourceExhausted, an absent file NotFound, no right PermissionDenied, a symbolic
// link where none may be InvalidArgument, the rest Unavailable.
#ifndef LARDER_STORAGE_POSIX_FILE_H_
#define LARDER_STORAGE_POSIX_FILE_H_

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::storage {

absl::Status ErrnoToStatus(int error, absl::string_view operation, absl::string_view path);
std::string JoinPath(absl::string_view directory, absl::string_view name);
// "a/b" -> "a"; "b" -> "."; a trailing slash does not count.
std::string ParentDirectory(absl::string_view path);

// A file descriptor that closes itself; Close() reports what close() says. -1: none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  int Close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

struct DiskSpace {
  uint64_t available = 0;  // bytes, to an ordinary user
  uint64_t capacity = 0;   // 0 where the file system does not tell
};

// The steps that durability hangs on, replaceable so that tests can fail each one. Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  static FileSystem& Posix();

  // Creates or truncates, writes all, fdatasyncs.
  virtual absl::Status WriteNew(const std::string& path, absl::string_view contents);
  virtual absl::Status Rename(const std::string& from, const std::string& to);
  virtual absl::Status SyncDirectory(const std::string& path);
  virtual absl::StatusOr<DiskSpace> Space(const std::string& path);
};

// After a crash at any moment `path` holds either all of `contents` or what it held before. Writes
// `path`.tmp, renames it and syncs the directory.
absl::Status WriteFileAtomically(FileSystem& files, const std::string& path, absl::string_view contents);

// ResourceExhausted if it is longer than `max_bytes`. Follows no symbolic link in the last component.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, uint64_t max_bytes);
absl::StatusOr<uint64_t> FileSize(const std::string& path);
// Also true for a dangling symbolic link.
bool PathExists(const std::string& path);
bool IsSymbolicLink(const std::string& path);
// Creates missing parents too, and syncs each directory that gained an entry.
absl::Status MakeDirectories(FileSystem& files, const std::string& path);
absl::Status RemoveFileIfPresent(const std::string& path);
// OK if absent. Follows no symbolic links.
absl::Status RemoveTree(const std::string& path);
// Names of the entries, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);
// Of all regular files below it.
uint64_t TreeBytes(const std::string& path);

// An flock that lasts as long as the object. The file stays: deleting it would let two holders lock
// two different inodes.
class FileLock {
 public:
  // Unavailable, naming the path, if another holder has it (in this process or another).
  static absl::StatusOr<FileLock> Acquire(const std::string& path);
  void Release() { file_.Close(); }

 private:
  explicit FileLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_POSIX_FILE_H_
