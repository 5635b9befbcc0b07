#include "tools/readers/line_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

constexpr size_t kBlockBytes = 256 << 10;

}  // namespace

absl::Status LineReader::Fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t old = buffer_.size();
  const size_t more = static_cast<size_t>(std::min<uint64_t>(kBlockBytes, file_->size() - read_offset_));
  buffer_.resize(old + more);
  RETURN_IF_ERROR(file_->ReadAt(read_offset_, more, buffer_.data() + old));
  read_offset_ += more;
  return absl::OkStatus();
}

absl::StatusOr<bool> LineReader::Next(absl::string_view* line) {
  size_t searched = begin_, end = std::string::npos;
  while ((end = buffer_.find('\n', searched)) == std::string::npos && read_offset_ < file_->size()) {
    if (buffer_.size() - begin_ > max_line_bytes_) {
      RETURN_IF_ERROR(SkipRest());
      return absl::InvalidArgumentError(
          absl::StrCat("expected a line of at most ", max_line_bytes_, " bytes"));
    }
    searched = buffer_.size() - begin_;
    RETURN_IF_ERROR(Fill());
  }
  if (begin_ == buffer_.size()) return false;
  size_t next = end == std::string::npos ? buffer_.size() : end + 1;
  size_t stop = end == std::string::npos ? buffer_.size() : end;
  if (stop > begin_ && buffer_[stop - 1] == '\r') --stop;
  *line = absl::string_view(buffer_).substr(begin_, stop - begin_);
  offset_ += next - begin_;
  begin_ = next;
  return true;
}

absl::Status LineReader::SkipRest() {
  size_t end = std::string::npos;
  while ((end = buffer_.find('\n', begin_)) == std::string::npos) {
    offset_ += buffer_.size() - begin_;
    begin_ = buffer_.size();
    if (read_offset_ == file_->size()) return absl::OkStatus();
    RETURN_IF_ERROR(Fill());
  }
  offset_ += end + 1 - begin_;
  begin_ = end + 1;
  return absl::OkStatus();
}

}  // namespace larder::tools
