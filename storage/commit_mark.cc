#include "storage/commit_mark.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr absl::string_view kMagic = "larder commit mark\n";
constexpr uint8_t kVersion = 1;
constexpr size_t kCrcBytes = 4;
constexpr uint64_t kMostBytes = 64 << 10;

std::string DescribeManifest(const ManifestPosition& manifest) {
  return absl::StrCat("MANIFEST-", absl::Dec(manifest.number, absl::kZeroPad6), " with ", manifest.bytes,
                      " bytes");
}

}  // namespace

std::string EncodeMark(const CommitMark& mark) {
  RecordWriter out(kVersion);
  out.Bytes(EncodeCommitRecord(mark.record));
  out.U64(mark.manifest.number);
  out.U64(mark.manifest.bytes);
  std::string bytes = absl::StrCat(kMagic, std::move(out).Finish());
  AppendKey32(Crc32c(bytes), &bytes);
  return bytes;
}

absl::StatusOr<CommitMark> DecodeMark(absl::string_view bytes, const std::string& path) {
  if (!absl::StartsWith(bytes, kMagic) || bytes.size() < kMagic.size() + kCrcBytes) {
    return absl::DataLossError(absl::StrCat(path, ": ", bytes.size(), " bytes that are no commit mark"));
  }
  const absl::string_view covered = bytes.substr(0, bytes.size() - kCrcBytes);
  const uint32_t expected = ReadKey32(covered.data() + covered.size());
  if (const uint32_t found = Crc32c(covered); found != expected) {
    return absl::DataLossError(absl::StrCat(path, ": commit mark has crc32c ",
                                            absl::Hex(found, absl::kZeroPad8), ", expected ",
                                            absl::Hex(expected, absl::kZeroPad8)));
  }
  RecordReader in(covered.substr(kMagic.size()), kVersion, path);
  const absl::string_view record = in.Bytes();
  CommitMark mark;
  mark.manifest.number = in.U64();
  mark.manifest.bytes = in.U64();
  RETURN_IF_ERROR(in.status());
  ASSIGN_OR_RETURN(mark.record, DecodeCommitRecord(record));
  return mark;
}

absl::Status WriteMarkFile(FileSystem& files, const std::string& path, const CommitMark& mark) {
  return WriteFileAtomically(files, path, EncodeMark(mark));
}

absl::StatusOr<CommitMark> ReadMarkFile(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadWholeFile(path, kMostBytes);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(absl::StrCat(path, ": the commit mark is missing"));
  }
  if (absl::IsResourceExhausted(bytes.status())) return absl::DataLossError(bytes.status().message());
  RETURN_IF_ERROR(bytes.status());
  return DecodeMark(*bytes, path);
}

absl::StatusOr<ManifestPosition> FindManifest(const std::string& rocks_directory) {
  const std::string current = JoinPath(rocks_directory, "CURRENT");
  absl::StatusOr<std::string> bytes = ReadWholeFile(current, kMostBytes);
  if (absl::IsNotFound(bytes.status()) || absl::IsResourceExhausted(bytes.status())) {
    return absl::DataLossError(bytes.status().message());
  }
  RETURN_IF_ERROR(bytes.status());
  absl::string_view name = *bytes;
  ManifestPosition found;
  if (!absl::ConsumeSuffix(&name, "\n") || !absl::ConsumePrefix(&name, "MANIFEST-") ||
      !absl::SimpleAtoi(name, &found.number)) {
    return absl::DataLossError(absl::StrCat(current, ": names no manifest"));
  }
  const std::string path = JoinPath(rocks_directory, absl::StrCat("MANIFEST-", name));
  absl::StatusOr<uint64_t> size = FileSize(path);
  if (absl::IsNotFound(size.status())) return absl::DataLossError(absl::StrCat(path, ": missing"));
  RETURN_IF_ERROR(size.status());
  found.bytes = *size;
  return found;
}

absl::Status CheckManifest(const CommitMark& mark, const ManifestPosition& found) {
  const ManifestPosition& marked = mark.manifest;
  if (found.number > marked.number) return absl::OkStatus();
  if (found.number == marked.number && found.bytes >= marked.bytes) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the store is described by ", DescribeManifest(found),
                                          ", the commit mark expects at least ", DescribeManifest(marked)));
}

absl::Status CheckRecord(const CommitMark& mark, const CommitRecord& found) {
  if (found.identity != mark.record.identity) {
    return absl::DataLossError("the store and its commit mark belong to different databases");
  }
  if (found.state.commit > mark.record.state.commit) return absl::OkStatus();
  if (SameState(found.state, mark.record.state)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the store holds ", DescribeState(found.state),
                                          "; its commit mark expects ", DescribeState(mark.record.state)));
}

}  // namespace larder::storage
