// The files of a database directory, and which of them say that it exists (FORMAT.md).
#ifndef LARDER_STORAGE_LAYOUT_H_
#define LARDER_STORAGE_LAYOUT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/posix_file.h"

namespace larder::storage {

inline constexpr int kFormatVersion = 2;

// Names inside a database directory.
struct Layout {
  explicit Layout(absl::string_view directory);
  std::string directory, format, committed, lock, creating, rocks, staging;
};

enum class Presence {
  kAbsent,   // nothing of ours, or only what an interrupted creation left
  kPresent,  // FORMAT is there, in a version that we read
};

// FailedPrecondition for a later version's database, DataLoss if FORMAT is damaged, or missing
// although there is a store. Changes nothing.
absl::StatusOr<Presence> Inspect(const Layout& layout);

// Creation is: CREATING, store/, COMMITTED, FORMAT, and CREATING removed; each step durable before
// the next. So FORMAT's presence says that all the rest is whole, and CREATING without FORMAT that
// nobody was ever told of this database, so that what is there may be thrown away.
absl::Status BeginCreation(FileSystem& files, const Layout& layout);
absl::Status FinishCreation(FileSystem& files, const Layout& layout);
// Writes FORMAT alone, for a copy whose other files are in place.
absl::Status WriteFormat(FileSystem& files, const Layout& layout);
// Writes FORMAT if it names an older version: before the first byte that that version could not read.
absl::Status UpgradeFormat(FileSystem& files, const Layout& layout);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_LAYOUT_H_
