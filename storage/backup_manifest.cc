#include "storage/backup_manifest.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "storage/commit_record.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr int kVersion = 1;
constexpr size_t kSha256Digits = 64;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isxdigit(c); });
}

absl::Status Bad(const std::string& name, absl::string_view line) {
  return absl::DataLossError(
      absl::StrCat(name, ": unexpected line \"", absl::CHexEscape(line.substr(0, 100)), "\""));
}

// Splits off the last line, "crc32c <8 hex>", and holds the rest against it.
absl::StatusOr<absl::string_view> CheckedBody(absl::string_view text, const std::string& name) {
  absl::string_view body = text;
  const size_t start = text.rfind("crc32c ");
  if (start == absl::string_view::npos)
    return absl::DataLossError(absl::StrCat(name, ": does not end with its checksum"));
  body = text.substr(0, start);
  const std::string expected = absl::StrCat("crc32c ", absl::Hex(Crc32c(body), absl::kZeroPad8), "\n");
  if (text.substr(start) == expected) return body;
  return absl::DataLossError(absl::StrCat(name, ": ends with \"",
                                          absl::CHexEscape(text.substr(start).substr(0, 40)),
                                          "\", expected \"", absl::CHexEscape(expected), "\""));
}

absl::Status ReadFileLine(const std::vector<absl::string_view>& fields, absl::string_view line,
                          const std::string& name, BackupManifest* manifest) {
  BackupFile file;
  if (fields.size() != 4 || !absl::SimpleAtoi(fields[1], &file.bytes) || fields[2].size() != kSha256Digits ||
      !IsHex(fields[2])) {
    return Bad(name, line);
  }
  if (!IsSafeBackupPath(fields[3])) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": refuses the path \"", absl::CHexEscape(fields[3].substr(0, 100)), "\""));
  }
  file.sha256 = std::string(fields[2]);
  if (!manifest->files.emplace(std::string(fields[3]), std::move(file)).second) return Bad(name, line);
  return absl::OkStatus();
}

absl::Status ReadLine(absl::string_view line, const std::string& name, BackupManifest* manifest) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  if (fields[0] == "file") return ReadFileLine(fields, line, name, manifest);
  if (fields.size() != 2) return Bad(name, line);
  bool good = false;
  if (fields[0] == "database") {
    good = fields[1].size() == 2 * kIdentityBytes && IsHex(fields[1]);
    manifest->identity = good ? absl::HexStringToBytes(fields[1]) : "";
  } else if (fields[0] == "created_ms") {
    good = absl::SimpleAtoi(fields[1], &manifest->created_ms);
  } else if (fields[0] == "commit") {
    good = absl::SimpleAtoi(fields[1], &manifest->commit);
  }
  return good ? absl::OkStatus() : Bad(name, line);
}

}  // namespace

uint64_t BackupManifest::bytes() const {
  uint64_t sum = 0;
  for (const auto& [path, file] : files) sum += file.bytes;
  return sum;
}

bool IsSafeBackupPath(absl::string_view path) {
  if (path.size() > 1024) return false;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    const bool only_dots = std::all_of(part.begin(), part.end(), [](char c) { return c == '.'; });
    const bool allowed = std::all_of(part.begin(), part.end(), [](char c) {
      return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
    });
    if (only_dots || !allowed) return false;  // an empty part is only dots
  }
  return true;
}

std::string EncodeBackupManifest(const BackupManifest& manifest) {
  std::string text =
      absl::StrCat("larder backup ", kVersion, "\ndatabase ", absl::BytesToHexString(manifest.identity),
                   "\ncreated_ms ", manifest.created_ms, "\ncommit ", manifest.commit, "\n");
  for (const auto& [path, file] : manifest.files) {
    absl::StrAppend(&text, "file ", file.bytes, " ", file.sha256, " ", path, "\n");
  }
  absl::StrAppend(&text, "crc32c ", absl::Hex(Crc32c(text), absl::kZeroPad8), "\n");
  return text;
}

absl::StatusOr<BackupManifest> DecodeBackupManifest(absl::string_view text, const std::string& name) {
  ASSIGN_OR_RETURN(absl::string_view body, CheckedBody(text, name));
  int version = 0;
  if (!absl::ConsumeSuffix(&body, "\n") || !absl::ConsumePrefix(&body, "larder backup ") ||
      !absl::SimpleAtoi(body.substr(0, body.find('\n')), &version) || version < 1) {
    return absl::DataLossError(absl::StrCat(name, ": does not begin with \"larder backup <version>\""));
  }
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": backup version ", version, ", this build reads versions up to ", kVersion));
  }
  BackupManifest manifest;
  bool first = true;
  for (const absl::string_view line : absl::StrSplit(body, '\n')) {
    if (!std::exchange(first, false)) RETURN_IF_ERROR(ReadLine(line, name, &manifest));
  }
  if (manifest.identity.empty() || manifest.files.empty()) {
    return absl::DataLossError(absl::StrCat(name, ": names no database or no files"));
  }
  return manifest;
}

}  // namespace larder::storage
