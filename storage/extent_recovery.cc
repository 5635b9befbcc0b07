#include "storage/extent_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "storage/extent_rows.h"
#include "storage/extent_system.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

// One file number: what the disk has, and what the rows say.
struct Found {
  bool on_disk = false;
  uint64_t size = 0;
  bool shared = false;  // another name links to it
  uint64_t rows = 0, live_bytes = 0;
  uint64_t end = 0;  // of the last referenced extent
  bool row_unreadable = false;
};
using FoundFiles = std::map<uint32_t, Found>;

absl::Status LookAtFile(const std::string& path, uint32_t file, Found* found) {
  const Descriptor fd(ExtentSystem::Posix().Open(path, O_RDONLY));
  struct stat info;
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return absl::OkStatus();  // missing
  found->on_disk = true;
  found->size = static_cast<uint64_t>(info.st_size);
  found->shared = info.st_nlink > 1;
  std::string header(kExtentBlockBytes, '\0');
  const ssize_t got = ::pread(fd.get(), header.data(), header.size(), 0);
  if (got < 0) return absl::OkStatus();  // its reads will say so
  header.resize(static_cast<size_t>(got));
  // A damaged header harms nothing but itself; Verify reports it.
  const absl::Status status = CheckExtentFileHeader(header, file);
  return absl::IsFailedPrecondition(status) ? status : absl::OkStatus();
}

absl::Status ScanDirectory(const std::string& directory, FoundFiles* files) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    const std::optional<uint32_t> file = ParseExtentFileName(name);
    if (file.has_value()) RETURN_IF_ERROR(LookAtFile(JoinPath(directory, name), *file, &(*files)[*file]));
  }
  return absl::OkStatus();
}

// False if there may be rows that it did not see.
bool ScanRows(const Store& store, FoundFiles* files) {
  bool complete = true;
  const absl::Status status =
      VisitExtentRows(store, "", nullptr, [&](absl::string_view key, const absl::StatusOr<ExtentRow>& row) {
        const absl::StatusOr<ExtentPlace> place = DecodeExtentRowKey(key);
        if (!place.ok()) {
          complete = false;
          return;
        }
        Found& found = (*files)[place->file];
        if (!row.ok()) {
          found.row_unreadable = true;
          return;
        }
        ++found.rows;
        found.live_bytes += PaddedExtentBytes(row->pointer.length);
        found.end = std::max(found.end, ExtentEnd(row->pointer));
      });
  return complete && status.ok();
}

bool IsOrphan(const Found& found) { return found.on_disk && found.rows == 0 && !found.row_unreadable; }

bool HasDeadTail(const Found& found) {
  return found.on_disk && found.rows > 0 && !found.row_unreadable && !found.shared && found.size > found.end;
}

void Reclaim(const std::string& directory, FoundFiles* files) {
  for (auto it = files->begin(); it != files->end();) {
    const std::string path = JoinPath(directory, ExtentFileName(it->first));
    Found& found = it->second;
    if (IsOrphan(found) && ::unlink(path.c_str()) == 0) {
      it = files->erase(it);
      continue;
    }
    if (HasDeadTail(found) && ::truncate(path.c_str(), static_cast<off_t>(found.end)) == 0)
      found.size = found.end;
    ++it;
  }
}

void FillLedger(const FoundFiles& files, bool rows_complete, uint32_t next_file, ExtentLedger* ledger) {
  ledger->SetNextFile(next_file);
  for (const auto& [file, found] : files) {
    if (!found.on_disk && found.rows == 0 && !found.row_unreadable) continue;
    ledger->Add(file, {.end = found.size,
                       .live_bytes = found.live_bytes,
                       .live_extents = found.rows,
                       .sealed = true,
                       .missing = !found.on_disk,
                       .pinned = found.row_unreadable || !rows_complete || !found.on_disk});
  }
}

}  // namespace

absl::Status RecoverExtents(const std::string& directory, Store* store, ExtentLedger* ledger) {
  FoundFiles files;
  RETURN_IF_ERROR(ScanDirectory(directory, &files));
  const bool rows_complete = ScanRows(*store, &files);
  uint32_t next_file = ReadNextFileMark(*store);
  if (!files.empty()) next_file = std::max(next_file, NextFileAfter(files.rbegin()->first));
  const bool anything = std::any_of(files.begin(), files.end(), [](const auto& entry) {
    return IsOrphan(entry.second) || HasDeadTail(entry.second);
  });
  if (anything && rows_complete && WriteNextFileMark(next_file, store).ok()) Reclaim(directory, &files);
  FillLedger(files, rows_complete, next_file, ledger);
  return absl::OkStatus();
}

}  // namespace larder::storage
