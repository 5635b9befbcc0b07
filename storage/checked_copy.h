// Copies of files that are hashed on the way, and reads that stay below a directory.
#ifndef LARDER_STORAGE_CHECKED_COPY_H_
#define LARDER_STORAGE_CHECKED_COPY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/backup_manifest.h"
#include "storage/posix_file.h"

namespace larder::storage {

// Reads `root`/`path` and returns its size and SHA-256; writes and syncs a copy at `to` unless that is
// "". `to` must not exist. Neither `path` nor a directory in it may be a symbolic link, nor the file
// anything but a regular one (InvalidArgument); reads at most `max_bytes` (DataLoss beyond).
absl::StatusOr<BackupFile> CopyAndHash(const std::string& root, const std::string& path,
                                       const std::string& to, uint64_t max_bytes = UINT64_MAX);

// Paths of all regular files below `root`, sorted; InvalidArgument if there is anything else.
absl::StatusOr<std::vector<std::string>> ListRegularFiles(const std::string& root);

// fsyncs every directory below `root` and `root` itself.
absl::Status SyncTree(FileSystem& files, const std::string& root);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_CHECKED_COPY_H_
