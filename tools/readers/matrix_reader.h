// Matrices of numbers in the file formats that vector data sets come in:
//
//   .npy                     NumPy, one or two dimensions, C order
//   .fvecs .ivecs .bvecs     each row: its dimension as int32, then float32, int32 or uint8
//   .fbin .ibin .u8bin .i8bin  uint32 rows, uint32 dimension, then float32, int32, uint8 or int8
#ifndef LARDER_TOOLS_READERS_MATRIX_READER_H_
#define LARDER_TOOLS_READERS_MATRIX_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/readers/elements.h"
#include "tools/readers/input_file.h"

namespace larder::tools {

// Where the elements of a matrix lie in its file.
struct MatrixLayout {
  uint64_t rows = 0;
  uint64_t dim = 0;  // 1 to 2^31 - 1
  ElementType type = ElementType::kF32;
  uint64_t data_offset = 0;       // of the first row
  uint32_t row_header_bytes = 0;  // 4 where each row repeats its dimension

  uint64_t ElementBytesPerRow() const { return dim * ElementBytes(type); }
  uint64_t RowBytes() const { return row_header_bytes + ElementBytesPerRow(); }
};

// Whether the file's extension is one of those above.
bool IsMatrixPath(absl::string_view path);

// Thread-safe: reads say where. Holds nothing of the matrix in memory.
class MatrixReader {
 public:
  // `format` is an extension such as ".fbin"; "" takes the path's own. InvalidArgument if the header
  // and the file's size disagree, naming path, byte, expected and found.
  static absl::StatusOr<std::unique_ptr<MatrixReader>> Open(const std::string& path,
                                                            absl::string_view format = "");

  const std::string& path() const { return file_.path(); }
  const InputFile& file() const { return file_; }
  uint64_t rows() const { return layout_.rows; }
  uint64_t dim() const { return layout_.dim; }
  ElementType type() const { return layout_.type; }
  const MatrixLayout& layout() const { return layout_; }

  // Rows [first, first + count) into count * dim() numbers, row-major. OutOfRange beyond the last.
  absl::Status Read(uint64_t first, uint64_t count, float* out) const;
  // InvalidArgument unless the elements are integers.
  absl::Status ReadInts(uint64_t first, uint64_t count, int64_t* out) const;

 private:
  MatrixReader(InputFile file, const MatrixLayout& layout) : file_(std::move(file)), layout_(layout) {}

  // Hands `take` the bytes of each row's elements, a bounded number of bytes read at a time.
  absl::Status ForEachRow(uint64_t first, uint64_t count,
                          absl::FunctionRef<void(uint64_t row, const char* elements)> take) const;
  absl::Status CheckRange(uint64_t first, uint64_t count) const;

  const InputFile file_;
  const MatrixLayout layout_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_MATRIX_READER_H_
