#include "storage/extent_format.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr absl::string_view kMagic = "LARDREXT";
constexpr absl::string_view kSuffix = ".ext";
constexpr uint8_t kRowVersion = 1;
constexpr size_t kHeaderCrcOffset = 60;  // of the 60 bytes before it; where every version keeps it
// Larger than any file can be; keeps sums of offset and length from overflowing.
constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

template <typename T>
void AppendLittle(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

template <typename T>
T ReadLittle(const char* data) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<uint8_t>(data[i])) << (8 * i);
  return value;
}

absl::Status CheckPlace(const ExtentPlace& place) {
  if (place.file != 0 && place.offset >= kExtentBlockBytes && place.offset % kExtentBlockBytes == 0 &&
      place.offset < kMaxBytes) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("extent row: file ", place.file, ", offset ", place.offset,
                                          "; expected a file from 1 and an offset on a block from ",
                                          kExtentBlockBytes));
}

}  // namespace

void EncodePointer(const ExtentPointer& pointer, std::string* out) {
  AppendLittle(pointer.file, out);
  AppendLittle(pointer.offset, out);
  AppendLittle(pointer.length, out);
  AppendLittle(pointer.crc32c, out);
}

absl::StatusOr<ExtentPointer> DecodePointer(absl::string_view bytes) {
  if (bytes.size() != kExtentPointerBytes) {
    return absl::DataLossError(
        absl::StrCat("extent pointer: ", bytes.size(), " bytes, expected ", kExtentPointerBytes));
  }
  const char* data = bytes.data();
  return ExtentPointer{.file = ReadLittle<uint32_t>(data),
                       .offset = ReadLittle<uint64_t>(data + 4),
                       .length = ReadLittle<uint64_t>(data + 12),
                       .crc32c = ReadLittle<uint32_t>(data + 20)};
}

std::string ExtentFileName(uint32_t file) { return absl::StrFormat("%06u.ext", file); }

std::optional<uint32_t> ParseExtentFileName(absl::string_view name) {
  uint32_t file = 0;
  if (!absl::EndsWith(name, kSuffix) ||
      !absl::SimpleAtoi(name.substr(0, name.size() - kSuffix.size()), &file) || file == 0 ||
      ExtentFileName(file) != name) {
    return std::nullopt;
  }
  return file;
}

std::string EncodeExtentFileHeader(uint32_t file) {
  std::string header(kMagic);
  AppendLittle(kExtentFileVersion, &header);
  AppendLittle(file, &header);
  AppendLittle(static_cast<uint32_t>(kExtentBlockBytes), &header);
  header.resize(kHeaderCrcOffset, '\0');
  AppendLittle(Crc32c(header), &header);
  header.resize(kExtentBlockBytes, '\0');
  return header;
}

absl::Status CheckExtentFileHeader(absl::string_view header, uint32_t file) {
  const std::string name = ExtentFileName(file);
  if (header.size() < kHeaderCrcOffset + 4) {
    return absl::DataLossError(
        absl::StrCat(name, ": header of ", header.size(), " bytes, expected ", kExtentBlockBytes));
  }
  const uint32_t found = Crc32c(header.substr(0, kHeaderCrcOffset));
  const uint32_t expected = ReadLittle<uint32_t>(header.data() + kHeaderCrcOffset);
  if (header.substr(0, kMagic.size()) != kMagic || found != expected) {
    return absl::DataLossError(absl::StrFormat(
        "%s: header at offset 0 is damaged: crc32c %08x, expected %08x", name, found, expected));
  }
  const uint32_t version = ReadLittle<uint32_t>(header.data() + kMagic.size());
  if (version > kExtentFileVersion) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": written in version ", version,
                                                      "; this program reads up to ", kExtentFileVersion));
  }
  const uint32_t number = ReadLittle<uint32_t>(header.data() + kMagic.size() + 4);
  if (number != file) {
    return absl::DataLossError(absl::StrCat(name, ": header says that it is ", ExtentFileName(number)));
  }
  const size_t used = header.find_last_not_of('\0') + 1;
  if (header.size() != kExtentBlockBytes || used > kHeaderCrcOffset + 4) {
    return absl::DataLossError(absl::StrCat(name, ": header at offset 0 is damaged: ", header.size(),
                                            " bytes with ", used, " used, expected ", kExtentBlockBytes,
                                            " with at most ", kHeaderCrcOffset + 4));
  }
  return absl::OkStatus();
}

std::string ExtentRowPrefix(uint32_t file) {
  std::string key;
  AppendKey32(file, &key);
  return key;
}

std::string ExtentRowKey(uint32_t file, uint64_t offset) {
  std::string key = ExtentRowPrefix(file);
  AppendKey64(offset, &key);
  return key;
}

absl::StatusOr<ExtentPlace> DecodeExtentRowKey(absl::string_view key) {
  if (key.size() != 12) {
    return absl::DataLossError(absl::StrCat("extent row: key of ", key.size(), " bytes, expected 12"));
  }
  const ExtentPlace place{.file = ReadKey32(key.data()), .offset = ReadKey64(key.data() + 4)};
  RETURN_IF_ERROR(CheckPlace(place));
  return place;
}

std::string EncodeExtentRow(const ExtentPointer& pointer, const ExtentOwner& owner) {
  RecordWriter row(kRowVersion);
  row.Varint(pointer.length);
  row.U32(pointer.crc32c);
  row.U8(static_cast<uint8_t>(owner.table));
  row.Bytes(owner.key);
  return std::move(row).Finish();
}

absl::StatusOr<ExtentRow> DecodeExtentRow(absl::string_view key, absl::string_view value) {
  ASSIGN_OR_RETURN(const ExtentPlace place, DecodeExtentRowKey(key));
  ExtentRow row;
  row.pointer.file = place.file;
  row.pointer.offset = place.offset;
  const std::string what =
      absl::StrCat("row of the extent at offset ", place.offset, " of ", ExtentFileName(place.file));
  RecordReader reader(value, kRowVersion, what);
  row.pointer.length = reader.Varint();
  row.pointer.crc32c = reader.U32();
  const uint8_t table = reader.U8();
  const absl::string_view owner = reader.Bytes();
  RETURN_IF_ERROR(reader.status());
  if (row.pointer.length >= kMaxBytes || table >= kTableCount) {
    return absl::DataLossError(
        absl::StrCat(what, ": length ", row.pointer.length, ", owner's table ", table));
  }
  row.owner.table = static_cast<Table>(table);
  row.owner.key = std::string(owner);
  return row;
}

std::string DescribeExtent(const ExtentPointer& pointer) {
  return absl::StrCat(ExtentFileName(pointer.file), ": extent at offset ", pointer.offset, " (",
                      pointer.length, " bytes)");
}

}  // namespace larder::storage
