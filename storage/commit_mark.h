// The commit mark, <db>/COMMITTED: what the store is known to hold durably. RocksDB's recovery can
// drop synced records without a word when a log or manifest is damaged; a store that is behind its
// mark has lost data. FORMAT.md has the bytes.
#ifndef LARDER_STORAGE_COMMIT_MARK_H_
#define LARDER_STORAGE_COMMIT_MARK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/commit_record.h"
#include "storage/posix_file.h"

namespace larder::storage {

// RocksDB's MANIFEST: its number grows with each new file, a file of one number only grows. Cutting
// it short yields an older state of the store that looks whole.
struct ManifestPosition {
  uint64_t number = 0;
  uint64_t bytes = 0;
  friend bool operator==(const ManifestPosition&, const ManifestPosition&) = default;
};

struct CommitMark {
  CommitRecord record;
  ManifestPosition manifest;
};

std::string EncodeMark(const CommitMark& mark);
// DataLoss naming `path` unless every byte is right.
absl::StatusOr<CommitMark> DecodeMark(absl::string_view bytes, const std::string& path);

absl::Status WriteMarkFile(FileSystem& files, const std::string& path, const CommitMark& mark);
// DataLoss if it is absent or damaged.
absl::StatusOr<CommitMark> ReadMarkFile(const std::string& path);

// Of the manifest that CURRENT names in a RocksDB directory. DataLoss if that cannot be told.
absl::StatusOr<ManifestPosition> FindManifest(const std::string& rocks_directory);

// DataLoss, naming both, if what was found is behind `mark`.
absl::Status CheckManifest(const CommitMark& mark, const ManifestPosition& found);
absl::Status CheckRecord(const CommitMark& mark, const CommitRecord& found);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_COMMIT_MARK_H_
