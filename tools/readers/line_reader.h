// The lines of a file, one after another, from any offset.
#ifndef LARDER_TOOLS_READERS_LINE_READER_H_
#define LARDER_TOOLS_READERS_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/readers/input_file.h"

namespace larder::tools {

// Single-threaded. Holds one line and one block of the file.
class LineReader {
 public:
  // `file` must outlive it; `offset` is where a line begins.
  LineReader(const InputFile* file, uint64_t offset, size_t max_line_bytes)
      : file_(file), offset_(offset), read_offset_(offset), max_line_bytes_(max_line_bytes) {}

  // The next line, without its "\n" or "\r\n", valid until the next call; false at the end.
  // InvalidArgument for a line that is too long: the next call goes on after it.
  absl::StatusOr<bool> Next(absl::string_view* line);

  uint64_t offset() const { return offset_; }  // of the line that Next would read

 private:
  absl::Status Fill();  // more bytes, unless the file is at its end
  absl::Status SkipRest();

  const InputFile* const file_;
  uint64_t offset_;       // of buffer_[begin_]
  uint64_t read_offset_;  // of the first byte that is not in the buffer
  const size_t max_line_bytes_;
  std::string buffer_;
  size_t begin_ = 0;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_LINE_READER_H_
