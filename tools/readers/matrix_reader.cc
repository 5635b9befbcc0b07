#include "tools/readers/matrix_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/readers/npy_header.h"

namespace larder::tools {
namespace {

constexpr uint64_t kMaxDim = std::numeric_limits<int32_t>::max();
constexpr size_t kReadBytes = 1 << 20;

enum class Family { kNpy, kVecs, kBin };
struct Format {
  absl::string_view extension;
  Family family;
  ElementType type;
};
constexpr Format kFormats[] = {
    {".npy", Family::kNpy, ElementType::kF32},    {".fvecs", Family::kVecs, ElementType::kF32},
    {".ivecs", Family::kVecs, ElementType::kI32}, {".bvecs", Family::kVecs, ElementType::kU8},
    {".fbin", Family::kBin, ElementType::kF32},   {".ibin", Family::kBin, ElementType::kI32},
    {".u8bin", Family::kBin, ElementType::kU8},   {".i8bin", Family::kBin, ElementType::kI8},
};

const Format* FormatOf(absl::string_view path) {
  for (const Format& format : kFormats) {
    if (absl::EndsWithIgnoreCase(path, format.extension)) return &format;
  }
  return nullptr;
}

absl::Status Disagreement(const InputFile& file, uint64_t offset, absl::string_view expected,
                          absl::string_view found) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": byte ", offset, ": expected ", expected, ", found ", found));
}

// A failure to parse is told with the file's name.
absl::Status InFile(const InputFile& file, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(file.path(), ": ", status.message()));
}

absl::Status CheckDim(const InputFile& file, uint64_t offset, int64_t dim) {
  if (dim >= 1 && dim <= static_cast<int64_t>(kMaxDim)) return absl::OkStatus();
  return Disagreement(file, offset, "a dimension from 1 to 2^31 - 1", absl::StrCat(dim));
}

// The rows must fill the file exactly; the sizes are claims until then, and may overflow.
absl::Status CheckSize(const InputFile& file, const MatrixLayout& layout) {
  uint64_t bytes = 0;
  bool overflow = __builtin_mul_overflow(layout.rows, layout.RowBytes(), &bytes) ||
                  __builtin_add_overflow(bytes, layout.data_offset, &bytes);
  if (!overflow && bytes == file.size()) return absl::OkStatus();
  std::string expected = absl::StrCat(layout.rows, " rows of ", layout.dim, " ", ElementName(layout.type));
  if (!overflow) absl::StrAppend(&expected, " to make a file of ", bytes, " bytes");
  return Disagreement(file, std::min(bytes, file.size()), expected, absl::StrCat(file.size(), " bytes"));
}

absl::StatusOr<MatrixLayout> NpyLayout(const InputFile& file) {
  std::string start(std::min<uint64_t>(file.size(), kMaxNpyHeaderBytes), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, start.size(), start.data()));
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(start);
  if (!header.ok()) return InFile(file, header.status());
  if (header->columns < 1 || header->columns > kMaxDim) {
    return Disagreement(file, header->data_offset, "1 to 2^31 - 1 columns", absl::StrCat(header->columns));
  }
  return MatrixLayout{header->rows, header->columns, header->type, header->data_offset, 0};
}

absl::StatusOr<MatrixLayout> VecsLayout(const InputFile& file, ElementType type) {
  if (file.size() < 4) return Disagreement(file, 0, "a row", absl::StrCat(file.size(), " bytes"));
  int32_t dim = 0;
  RETURN_IF_ERROR(file.ReadAt(0, sizeof(dim), &dim));
  RETURN_IF_ERROR(CheckDim(file, 0, dim));
  MatrixLayout layout{0, static_cast<uint64_t>(dim), type, 0, 4};
  layout.rows = file.size() / layout.RowBytes();
  if (file.size() % layout.RowBytes() != 0) {
    return Disagreement(file, layout.rows * layout.RowBytes(),
                        absl::StrCat("rows of ", layout.RowBytes(), " bytes"),
                        absl::StrCat("the end at byte ", file.size()));
  }
  return layout;
}

absl::StatusOr<MatrixLayout> BinLayout(const InputFile& file, ElementType type) {
  if (file.size() < 8) return Disagreement(file, 0, "8 bytes of header", absl::StrCat(file.size(), " bytes"));
  uint32_t header[2];
  RETURN_IF_ERROR(file.ReadAt(0, sizeof(header), header));
  RETURN_IF_ERROR(CheckDim(file, 4, header[1]));
  return MatrixLayout{header[0], header[1], type, 8, 0};
}

}  // namespace

bool IsMatrixPath(absl::string_view path) { return FormatOf(path) != nullptr; }

absl::StatusOr<std::unique_ptr<MatrixReader>> MatrixReader::Open(const std::string& path,
                                                                 absl::string_view format_name) {
  const Format* format = FormatOf(format_name.empty() ? absl::string_view(path) : format_name);
  if (format == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected .npy, .fvecs, .ivecs, .bvecs, .fbin, .ibin, .u8bin or .i8bin"));
  }
  ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  absl::StatusOr<MatrixLayout> layout = format->family == Family::kNpy    ? NpyLayout(file)
                                        : format->family == Family::kVecs ? VecsLayout(file, format->type)
                                                                          : BinLayout(file, format->type);
  RETURN_IF_ERROR(layout.status());
  RETURN_IF_ERROR(CheckSize(file, *layout));
  return std::unique_ptr<MatrixReader>(new MatrixReader(std::move(file), *layout));
}

absl::Status MatrixReader::CheckRange(uint64_t first, uint64_t count) const {
  if (first <= layout_.rows && count <= layout_.rows - first) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat(path(), ": row ", first, ": expected ", count, " rows, found ", layout_.rows, " in all"));
}

absl::Status MatrixReader::ForEachRow(uint64_t first, uint64_t count,
                                      absl::FunctionRef<void(uint64_t, const char*)> take) const {
  RETURN_IF_ERROR(CheckRange(first, count));
  if (count == 0) return absl::OkStatus();
  const uint64_t row_bytes = layout_.RowBytes();
  const uint64_t batch = std::clamp<uint64_t>(kReadBytes / row_bytes, 1, count);
  std::vector<char> buffer(batch * row_bytes);
  for (uint64_t done = 0; done < count;) {
    const uint64_t rows = std::min(batch, count - done);
    const uint64_t offset = layout_.data_offset + (first + done) * row_bytes;
    RETURN_IF_ERROR(file_.ReadAt(offset, rows * row_bytes, buffer.data()));
    for (uint64_t i = 0; i < rows; ++i) {
      const char* row = buffer.data() + i * row_bytes;
      if (layout_.row_header_bytes > 0) {
        int32_t dim = 0;
        std::memcpy(&dim, row, sizeof(dim));
        if (dim != static_cast<int64_t>(layout_.dim)) {
          return Disagreement(file_, offset + i * row_bytes, absl::StrCat("dimension ", layout_.dim),
                              absl::StrCat(dim));
        }
      }
      take(done + i, row + layout_.row_header_bytes);
    }
    done += rows;
  }
  return absl::OkStatus();
}

absl::Status MatrixReader::Read(uint64_t first, uint64_t count, float* out) const {
  if (layout_.type == ElementType::kF32 && layout_.row_header_bytes == 0) {
    RETURN_IF_ERROR(CheckRange(first, count));
    return file_.ReadAt(layout_.data_offset + first * layout_.RowBytes(), count * layout_.RowBytes(), out);
  }
  return ForEachRow(first, count, [&](uint64_t row, const char* elements) {
    ElementsToFloat(layout_.type, elements, layout_.dim, out + row * layout_.dim);
  });
}

absl::Status MatrixReader::ReadInts(uint64_t first, uint64_t count, int64_t* out) const {
  if (!IsInteger(layout_.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path(), ": expected integers, found ", ElementName(layout_.type)));
  }
  return ForEachRow(first, count, [&](uint64_t row, const char* elements) {
    ElementsToInt64(layout_.type, elements, layout_.dim, out + row * layout_.dim);
  });
}

}  // namespace larder::tools
