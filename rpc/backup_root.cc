#include "rpc/backup_root.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNameBytes = 128;

bool IsGoodName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<BackupRoot> BackupRoot::Open(absl::string_view directory) {
  if (directory.empty()) return BackupRoot("");
  std::error_code error;
  const fs::path root = fs::canonical(std::string(directory), error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("backup root ", directory, ": ", error.message()));
  }
  if (!fs::is_directory(root, error)) {
    return absl::FailedPreconditionError(absl::StrCat("backup root ", directory, " is not a directory"));
  }
  return BackupRoot(root.string());
}

absl::StatusOr<std::string> BackupRoot::Resolve(absl::string_view name) const {
  if (root_.empty()) {
    return absl::FailedPreconditionError(
        "this server makes no backups: it was started without a backup root");
  }
  if (!IsGoodName(name)) {
    return absl::InvalidArgumentError(absl::StrCat("backup name \"", name, "\": expected 1 to ",
                                                   kMaxNameBytes,
                                                   " of A-Z a-z 0-9 . _ - without a dot in front"));
  }
  const fs::path path = fs::path(root_) / std::string(name);
  std::error_code error;
  const fs::file_status found = fs::symlink_status(path, error);
  if (found.type() != fs::file_type::not_found && found.type() != fs::file_type::directory) {
    return absl::InvalidArgumentError(
        absl::StrCat("backup name \"", name, "\" is there and not a directory"));
  }
  return path.string();
}

}  // namespace larder
