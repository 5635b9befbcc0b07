// Backups: any number of numbered, self-contained copies of a database in one directory, taken while
// reads and writes go on. A backup shares no bytes with the database it was taken from; a file that
// did not change since the backup before is a hard link to that one. FORMAT.md has the layout.
#ifndef LARDER_STORAGE_BACKUP_H_
#define LARDER_STORAGE_BACKUP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

struct BackupInfo {
  uint64_t id = 0;
  int64_t created_ms = 0;
  uint64_t bytes = 0;
  uint64_t commit = 0;  // the last one it holds
  std::string problem;  // not empty: its MANIFEST cannot be used, and only `id` is known
};

// Adds the files that the store does not hold (extents/) to a copy of the database in `target`: hard
// links to files that never change again, copies of those that are still appended to. Commits are
// held back while it runs.
using AddFiles = std::function<absl::Status(const std::string& target)>;

// The new backup gets the next number. A directory holds the backups of one database:
// FailedPrecondition for another's. Unavailable while another backup is being taken. Needs space for
// hard links beside the database, and for what changed in `directory`.
absl::StatusOr<BackupInfo> CreateBackup(Store& store, const AddFiles& add_files, absl::string_view directory);

// By number, upwards. One that was not finished is not listed; a damaged one is, with its problem.
absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view directory);

// Makes backup `id` (0: the newest) the database at `path`, which must not exist. Every file's size and
// SHA-256 are checked before anything appears there: DataLoss, naming the file, if one differs.
// InvalidArgument if the backup holds paths or links that lead out of it.
absl::Status RestoreBackup(absl::string_view directory, uint64_t id, absl::string_view path);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_BACKUP_H_
