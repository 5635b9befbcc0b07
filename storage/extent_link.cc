// Backup: hard links to the extent files, or copies where links cannot be had.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "storage/extent_store_impl.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

absl::Status CopyFile(const std::string& from, const std::string& to) {
  ExtentSystem& system = ExtentSystem::Posix();
  const Descriptor in(system.Open(from, O_RDONLY));
  if (in.get() < 0) return ErrnoToStatus(errno, "open", from);
  const Descriptor out(system.Open(to, O_WRONLY | O_CREAT | O_EXCL));
  if (out.get() < 0) return ExtentWriteError(errno, "create", to);
  std::string buffer(kCopyBytes, '\0');
  for (uint64_t offset = 0;;) {
    const ssize_t got = ::pread(in.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "read", from);
    if (got == 0) break;
    const iovec part{.iov_base = buffer.data(), .iov_len = static_cast<size_t>(got)};
    const ssize_t wrote = system.WriteVector(out.get(), &part, 1, offset);
    if (wrote <= 0) return ExtentWriteError(wrote < 0 ? errno : ENOSPC, "write", to);
    offset += static_cast<uint64_t>(wrote);  // a short write is read again from where it ended
  }
  return system.SyncData(out.get()) == 0 ? absl::OkStatus() : ExtentWriteError(errno, "fdatasync", to);
}

absl::Status LinkOrCopy(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  const bool copy_instead = errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP;
  return copy_instead ? CopyFile(from, to) : ExtentWriteError(errno, absl::StrCat("link ", from, " to"), to);
}

}  // namespace

absl::Status ExtentStoreImpl::LinkInto(absl::string_view target) const {
  const std::string copy(target);
  // No file that is linked may change any more: neither by an append, nor by writing back.
  writer_.Seal();
  RETURN_IF_ERROR(writer_.Sync());
  RETURN_IF_ERROR(MakeDirectories(FileSystem::Posix(), copy));
  for (const ExtentLedger::FileAccount& file : ledger_.All()) {
    const std::string name = ExtentFileName(file.file);
    if (!file.account.sealed) continue;  // begun since: nothing in it was committed before
    if (file.account.missing) {
      return absl::DataLossError(
          absl::StrCat(JoinPath(directory_, name), ": missing, so a copy cannot be complete"));
    }
    const absl::Status linked = LinkOrCopy(JoinPath(directory_, name), JoinPath(copy, name));
    const bool collected = absl::IsNotFound(linked) && !ledger_.Find(file.file).has_value();
    if (!linked.ok() && !collected) return linked;
  }
  return FileSystem::Posix().SyncDirectory(copy);
}

}  // namespace larder::storage
