// The MANIFEST of a backup: every file's path, size and SHA-256, and a checksum of its own. Text, one
// file a line (FORMAT.md).
#ifndef LARDER_STORAGE_BACKUP_MANIFEST_H_
#define LARDER_STORAGE_BACKUP_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::storage {

struct BackupFile {
  uint64_t bytes = 0;
  std::string sha256;  // 64 hex digits
  friend bool operator==(const BackupFile&, const BackupFile&) = default;
};

struct BackupManifest {
  std::string identity;  // of the database, as in its commit record
  int64_t created_ms = 0;
  uint64_t commit = 0;
  std::map<std::string, BackupFile> files;  // by path below the database's directory

  uint64_t bytes() const;
};

// One or more components of letters, digits, '.', '_' and '-', joined by '/', none of only dots: such
// a path cannot leave the directory it is joined to.
bool IsSafeBackupPath(absl::string_view path);

std::string EncodeBackupManifest(const BackupManifest& manifest);
// DataLoss if a byte is wrong; FailedPrecondition for a later version; InvalidArgument for a path
// that is not safe. `name` begins the messages.
absl::StatusOr<BackupManifest> DecodeBackupManifest(absl::string_view text, const std::string& name);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_BACKUP_MANIFEST_H_
