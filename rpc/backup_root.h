// The directory under which backups may be made through the service.
#ifndef LARDER_RPC_BACKUP_ROOT_H_
#define LARDER_RPC_BACKUP_ROOT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder {

// Thread-safe. Guards against names that clients send; whoever can write to the root itself is
// trusted, as the operator is.
class BackupRoot {
 public:
  // "" = none: every Resolve is refused. NotFound if it is not there, FailedPrecondition if it is
  // not a directory.
  static absl::StatusOr<BackupRoot> Open(absl::string_view directory);

  // The path of backup directory `name`: one component of [A-Za-z0-9._-], 1 to 128 bytes, no dot in
  // front, which does not exist or is a real directory. FailedPrecondition without a root,
  // InvalidArgument for the name.
  absl::StatusOr<std::string> Resolve(absl::string_view name) const;

 private:
  explicit BackupRoot(std::string root) : root_(std::move(root)) {}
  std::string root_;  // absolute, without symlinks; "" = none
};

}  // namespace larder

#endif  // LARDER_RPC_BACKUP_ROOT_H_
