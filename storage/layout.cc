#include "storage/layout.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

absl::StatusOr<int> VersionOf(absl::string_view contents, const std::string& path) {
  const absl::string_view line = contents.substr(0, contents.find('\n'));
  absl::string_view number = line;
  int version = 0;
  if (line.size() == contents.size() || !absl::ConsumePrefix(&number, "larder ") ||
      !absl::SimpleAtoi(number, &version) || version < 1) {
    return absl::DataLossError(absl::StrCat(path, ": does not begin with \"larder <version>\""));
  }
  if (version > kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": format version ", version,
                                                      ", this build reads versions up to ", kFormatVersion,
                                                      "; open it with a newer Larder"));
  }
  return version;
}

}  // namespace

Layout::Layout(absl::string_view path)
    : directory(path),
      format(JoinPath(path, "FORMAT")),
      committed(JoinPath(path, "COMMITTED")),
      lock(JoinPath(path, "LOCK")),
      creating(JoinPath(path, "CREATING")),
      rocks(JoinPath(path, "store")),
      staging(JoinPath(path, "staging.tmp")) {}

absl::StatusOr<Presence> Inspect(const Layout& layout) {
  absl::StatusOr<std::string> format = ReadWholeFile(layout.format, 4096);
  if (format.ok()) {
    RETURN_IF_ERROR(VersionOf(*format, layout.format).status());
    return Presence::kPresent;
  }
  if (absl::IsResourceExhausted(format.status())) return absl::DataLossError(format.status().message());
  if (!absl::IsNotFound(format.status())) return format.status();
  if (PathExists(layout.creating)) return Presence::kAbsent;
  for (const std::string& path : {layout.rocks, layout.committed}) {
    if (PathExists(path)) {
      return absl::DataLossError(absl::StrCat(layout.format, ": missing, although ", path, " is there"));
    }
  }
  return Presence::kAbsent;
}

absl::Status BeginCreation(FileSystem& files, const Layout& layout) {
  RETURN_IF_ERROR(WriteFileAtomically(files, layout.creating, "a database is being created here\n"));
  RETURN_IF_ERROR(RemoveTree(layout.rocks));
  RETURN_IF_ERROR(RemoveFileIfPresent(layout.committed));
  RETURN_IF_ERROR(MakeDirectories(files, layout.rocks));
  return files.SyncDirectory(layout.directory);
}

absl::Status WriteFormat(FileSystem& files, const Layout& layout) {
  return WriteFileAtomically(
      files, layout.format,
      absl::StrCat("larder ", kFormatVersion, "\ncreated-by larder ", LARDER_VERSION, "\n"));
}

absl::Status UpgradeFormat(FileSystem& files, const Layout& layout) {
  ASSIGN_OR_RETURN(const std::string format, ReadWholeFile(layout.format, 4096));
  ASSIGN_OR_RETURN(const int version, VersionOf(format, layout.format));
  return version < kFormatVersion ? WriteFormat(files, layout) : absl::OkStatus();
}

absl::Status FinishCreation(FileSystem& files, const Layout& layout) {
  RETURN_IF_ERROR(WriteFormat(files, layout));
  RETURN_IF_ERROR(RemoveFileIfPresent(layout.creating));
  return files.SyncDirectory(layout.directory);
}

}  // namespace larder::storage
