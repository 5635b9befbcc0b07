#include "storage/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "storage/backup_manifest.h"
#include "storage/checked_copy.h"
#include "storage/commit_mark.h"
#include "storage/layout.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr absl::string_view kManifestName = "MANIFEST";
constexpr uint64_t kMaxManifestBytes = 256ull << 20;

std::string BackupName(uint64_t id) { return absl::StrCat(absl::Dec(id, absl::kZeroPad6)); }

// Numbers of the finished backups, upwards.
absl::StatusOr<std::vector<uint64_t>> BackupIds(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<uint64_t> ids;
  for (const std::string& name : names) {
    uint64_t id = 0;
    const bool digits = std::all_of(name.begin(), name.end(), [](char c) { return absl::ascii_isdigit(c); });
    if (digits && absl::SimpleAtoi(name, &id) && id > 0 && BackupName(id) == name) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

absl::StatusOr<BackupManifest> ReadManifest(const std::string& backup) {
  const std::string path = JoinPath(backup, kManifestName);
  if (IsSymbolicLink(backup)) return absl::InvalidArgumentError(absl::StrCat(backup, ": a symbolic link"));
  absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) return absl::DataLossError(absl::StrCat(path, ": missing"));
  RETURN_IF_ERROR(text.status());
  return DecodeBackupManifest(*text, path);
}

// The files of the backup before, to link to.
struct Previous {
  std::string path;
  BackupManifest manifest;
};

absl::StatusOr<std::optional<Previous>> FindPrevious(const std::string& directory,
                                                     const std::string& identity) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, BackupIds(directory));
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    Previous previous{JoinPath(directory, BackupName(*id)), {}};
    absl::StatusOr<BackupManifest> manifest = ReadManifest(previous.path);
    if (!manifest.ok()) continue;  // damaged: nothing to link to
    if (manifest->identity != identity) {
      return absl::FailedPreconditionError(absl::StrCat(directory, ": holds backups of another database"));
    }
    previous.manifest = *std::move(manifest);
    return previous;
  }
  return std::nullopt;
}

// True if the previous backup holds the same bytes, still good, and is linked to at `to`.
absl::StatusOr<bool> LinkToPrevious(const Previous& previous, const std::string& root,
                                    const std::string& path, const std::string& to, BackupFile* file) {
  const auto known = previous.manifest.files.find(path);
  if (known == previous.manifest.files.end()) return false;
  ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(JoinPath(root, path)));
  if (bytes != known->second.bytes) return false;
  ASSIGN_OR_RETURN(*file, CopyAndHash(root, path, ""));
  if (*file != known->second) return false;
  const absl::StatusOr<BackupFile> there = CopyAndHash(previous.path, path, "", bytes);
  if (!there.ok() || *there != known->second) return false;
  return ::link(JoinPath(previous.path, path).c_str(), to.c_str()) == 0;
}

// Copies the checkpoint `from` into `to` and describes it in a MANIFEST there, written last.
absl::StatusOr<BackupManifest> CopyCheckpoint(const std::string& from, const std::string& to,
                                              const CommitRecord& record,
                                              const std::optional<Previous>& previous) {
  FileSystem& files = FileSystem::Posix();
  BackupManifest manifest;
  manifest.identity = record.identity;
  manifest.commit = record.state.commit;
  manifest.created_ms = absl::ToUnixMillis(absl::Now());
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ListRegularFiles(from));
  for (const std::string& path : paths) {
    if (!IsSafeBackupPath(path) || path == kManifestName) {
      return absl::InternalError(absl::StrCat(JoinPath(from, path), ": a name that no backup can hold"));
    }
    const std::string target = JoinPath(to, path);
    RETURN_IF_ERROR(MakeDirectories(files, ParentDirectory(target)));
    BackupFile file;
    bool linked = false;
    if (previous) {
      ASSIGN_OR_RETURN(linked, LinkToPrevious(*previous, from, path, target, &file));
    }
    if (!linked) {
      ASSIGN_OR_RETURN(file, CopyAndHash(from, path, target));
    }
    manifest.files.emplace(path, std::move(file));
  }
  RETURN_IF_ERROR(files.WriteNew(JoinPath(to, kManifestName), EncodeBackupManifest(manifest)));
  RETURN_IF_ERROR(SyncTree(files, to));
  return manifest;
}

absl::Status Checkpoint(Store& store, const AddFiles& add_files, const std::string& staging) {
  absl::Status status =
      store.Checkpoint(staging, [&] { return add_files ? add_files(staging) : absl::OkStatus(); });
  if (!absl::IsAlreadyExists(status)) return status;
  return absl::UnavailableError(absl::StrCat(staging, ": another backup of this database is being taken"));
}

absl::StatusOr<BackupInfo> BackUpFrom(const std::string& staging, const std::string& directory) {
  ASSIGN_OR_RETURN(const CommitMark mark, ReadMarkFile(Layout(staging).committed));
  ASSIGN_OR_RETURN(const std::optional<Previous> previous, FindPrevious(directory, mark.record.identity));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, BackupIds(directory));
  BackupInfo info;
  info.id = ids.empty() ? 1 : ids.back() + 1;
  const std::string path = JoinPath(directory, BackupName(info.id)), unfinished = path + ".tmp";
  RETURN_IF_ERROR(RemoveTree(unfinished));
  RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), unfinished));
  absl::StatusOr<BackupManifest> manifest = CopyCheckpoint(staging, unfinished, mark.record, previous);
  absl::Status status = manifest.status();
  if (status.ok()) status = FileSystem::Posix().Rename(unfinished, path);
  if (status.ok()) status = FileSystem::Posix().SyncDirectory(directory);
  if (!status.ok()) {
    RemoveTree(unfinished).IgnoreError();
    return status;
  }
  info.created_ms = manifest->created_ms;
  info.bytes = manifest->bytes();
  info.commit = manifest->commit;
  return info;
}

absl::Status RestoreFiles(const std::string& backup, const BackupManifest& manifest, const std::string& to) {
  for (const auto& [path, expected] : manifest.files) {
    const std::string target = JoinPath(to, path);
    RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), ParentDirectory(target)));
    absl::StatusOr<BackupFile> found = CopyAndHash(backup, path, target, expected.bytes);
    if (absl::IsNotFound(found.status())) return absl::DataLossError(found.status().message());
    RETURN_IF_ERROR(found.status());
    if (*found != expected) {
      return absl::DataLossError(absl::StrCat(JoinPath(backup, path), ": ", found->bytes,
                                              " bytes with SHA-256 ", found->sha256, ", expected ",
                                              expected.bytes, " bytes with ", expected.sha256));
    }
  }
  return SyncTree(FileSystem::Posix(), to);
}

// Plain rename() would replace an empty directory.
absl::Status RenameToNew(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return ErrnoToStatus(errno, "rename to", to);
    if (PathExists(to)) return ErrnoToStatus(EEXIST, "rename to", to);
    RETURN_IF_ERROR(FileSystem::Posix().Rename(from, to));
  }
  return FileSystem::Posix().SyncDirectory(ParentDirectory(to));
}

}  // namespace

absl::StatusOr<BackupInfo> CreateBackup(Store& store, const AddFiles& add_files,
                                        absl::string_view directory_view) {
  const std::string directory(directory_view);
  RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), directory));
  ASSIGN_OR_RETURN(const FileLock lock, FileLock::Acquire(JoinPath(directory, "LOCK")));
  const std::string staging = Layout(store.directory()).staging;
  RETURN_IF_ERROR(Checkpoint(store, add_files, staging));
  absl::StatusOr<BackupInfo> info = BackUpFrom(staging, directory);
  const absl::Status removed = RemoveTree(staging);
  if (info.ok() && !removed.ok()) return removed;
  return info;
}

absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view directory_view) {
  const std::string directory(directory_view);
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, BackupIds(directory));
  std::vector<BackupInfo> backups;
  for (const uint64_t id : ids) {
    BackupInfo& info = backups.emplace_back();
    info.id = id;
    const absl::StatusOr<BackupManifest> manifest = ReadManifest(JoinPath(directory, BackupName(id)));
    if (!manifest.ok()) {
      info.problem = std::string(manifest.status().message());
      continue;
    }
    info.created_ms = manifest->created_ms;
    info.bytes = manifest->bytes();
    info.commit = manifest->commit;
  }
  return backups;
}

absl::Status RestoreBackup(absl::string_view directory_view, uint64_t id, absl::string_view path_view) {
  const std::string directory(directory_view), path(absl::StripSuffix(path_view, "/"));
  if (PathExists(path))
    return absl::AlreadyExistsError(absl::StrCat(path, ": restoring needs a path that does not exist"));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, BackupIds(directory));
  if (id == 0 && !ids.empty()) id = ids.back();
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
    return absl::NotFoundError(absl::StrCat(directory, ": no backup ", id == 0 ? "at all" : BackupName(id)));
  }
  const std::string backup = JoinPath(directory, BackupName(id));
  ASSIGN_OR_RETURN(const BackupManifest manifest, ReadManifest(backup));
  RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), ParentDirectory(path)));
  // One that an earlier, interrupted restore left is for the operator to remove.
  const std::string unfinished = path + ".restoring";
  if (::mkdir(unfinished.c_str(), 0755) != 0) return ErrnoToStatus(errno, "create directory", unfinished);
  absl::Status status = RestoreFiles(backup, manifest, unfinished);
  if (status.ok()) status = RenameToNew(unfinished, path);
  if (!status.ok()) RemoveTree(unfinished).IgnoreError();
  return status;
}

}  // namespace larder::storage
