// The bytes of an extent file and of its rows in Table::kExtents; FORMAT.md describes them.
//
// A file is one 4 KiB header block, then extents, each starting on a block and padded with zeros to
// the next. There is no header per extent: a payload starts on a block so that O_DIRECT can read it
// without a detour, and its length, checksum and owner stand in its row (and in the owner's
// pointer), which have checksums of their own.
#ifndef LARDER_STORAGE_EXTENT_FORMAT_H_
#define LARDER_STORAGE_EXTENT_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/extent_store.h"

namespace larder::storage {

inline constexpr uint64_t kExtentBlockBytes = 4096;
inline constexpr uint32_t kExtentFileVersion = 1;
inline constexpr size_t kExtentPointerBytes = 24;

// What an extent of `length` payload bytes occupies; an empty one takes a block too, so that every
// extent has an offset of its own. `length` must be below 2^63.
constexpr uint64_t PaddedExtentBytes(uint64_t length) {
  return length == 0 ? kExtentBlockBytes
                     : (length + kExtentBlockBytes - 1) / kExtentBlockBytes * kExtentBlockBytes;
}
inline uint64_t ExtentEnd(const ExtentPointer& pointer) {
  return pointer.offset + PaddedExtentBytes(pointer.length);
}

// "000042.ext". Numbers start at 1 and are never used again; the last one stays unused.
std::string ExtentFileName(uint32_t file);
inline constexpr uint32_t kMaxExtentFile = UINT32_MAX;
constexpr uint32_t NextFileAfter(uint32_t file) { return file == kMaxExtentFile ? file : file + 1; }
// nullopt for a name that ExtentFileName does not make.
std::optional<uint32_t> ParseExtentFileName(absl::string_view name);

// One block.
std::string EncodeExtentFileHeader(uint32_t file);
// DataLoss if damaged or another file's; FailedPrecondition if intact, but of a later version.
absl::Status CheckExtentFileHeader(absl::string_view header, uint32_t file);

// A row of Table::kExtents: the extent and who holds it.
struct ExtentRow {
  ExtentPointer pointer;
  ExtentOwner owner;
};
std::string ExtentRowKey(uint32_t file, uint64_t offset);
// Begins every row key of `file`.
std::string ExtentRowPrefix(uint32_t file);
struct ExtentPlace {
  uint32_t file = 0;
  uint64_t offset = 0;
};
absl::StatusOr<ExtentPlace> DecodeExtentRowKey(absl::string_view key);
std::string EncodeExtentRow(const ExtentPointer& pointer, const ExtentOwner& owner);
absl::StatusOr<ExtentRow> DecodeExtentRow(absl::string_view key, absl::string_view value);

// "000042.ext: extent at offset 8192 (12000 bytes)", for messages.
std::string DescribeExtent(const ExtentPointer& pointer);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_FORMAT_H_
