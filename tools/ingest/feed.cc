#include "tools/ingest/feed.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"
#include "tools/readers/line_reader.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

constexpr size_t kMaxIdBytes = 1024;
constexpr uint64_t kBufferBytes = 1 << 20;

class DocumentFeed : public Feed {
 public:
  DocumentFeed(SourceList sources, DocumentReaderOptions options)
      : reader_(DocumentReader::FromSources(std::move(sources), std::move(options))) {}
  absl::StatusOr<std::optional<SourcedDocument>> Next() override { return reader_->Next(); }
  ReadMark mark() const override { return reader_->mark(); }
  const SourceList& sources() const override { return reader_->sources(); }
  uint64_t skipped() const override { return reader_->skipped(); }

 private:
  const std::unique_ptr<DocumentReader> reader_;
};

// The ids of rows, one a line.
class IdFile {
 public:
  static absl::StatusOr<std::unique_ptr<IdFile>> Open(const std::string& path, uint64_t rows) {
    ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
    std::unique_ptr<IdFile> ids(new IdFile(std::move(file)));
    uint64_t lines = 0;
    LineReader reader(&ids->file_, 0, kMaxIdBytes);
    for (absl::string_view line;; ++lines) {
      absl::StatusOr<bool> more = reader.Next(&line);
      RETURN_IF_ERROR(ids->At(lines, more.status()));
      if (!*more) break;
      RETURN_IF_ERROR(ids->At(lines, CheckId(line)));
    }
    if (lines == rows) return ids;
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected a line for each of ", rows, " rows, found ", lines));
  }

  absl::StatusOr<std::string> Next() {
    absl::string_view line;
    absl::StatusOr<bool> more = lines_.Next(&line);
    RETURN_IF_ERROR(At(line_++, more.status()));
    if (!*more) return absl::DataLossError(absl::StrCat(file_.path(), ": has become shorter"));
    return std::string(line);
  }
  absl::Status Skip(uint64_t lines) {
    for (uint64_t i = 0; i < lines; ++i) RETURN_IF_ERROR(Next().status());
    return absl::OkStatus();
  }

 private:
  explicit IdFile(InputFile file) : file_(std::move(file)), lines_(&file_, 0, kMaxIdBytes) {}

  static absl::Status CheckId(absl::string_view id) {
    if (id.empty()) return absl::InvalidArgumentError("expected an id, found an empty line");
    if (!IsUtf8(id))
      return absl::InvalidArgumentError(absl::StrCat("expected UTF-8, found ", QuoteForMessage(id)));
    return absl::OkStatus();
  }
  absl::Status At(uint64_t line, const absl::Status& status) const {
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat(file_.path(), ":", line + 1, ": ", status.message()));
  }

  const InputFile file_;
  LineReader lines_;
  uint64_t line_ = 0;
};

class MatrixFeed : public Feed {
 public:
  MatrixFeed(const Source& source, MatrixFeedOptions options, std::unique_ptr<MatrixReader> matrix,
             std::unique_ptr<IdFile> ids)
      : options_(std::move(options)), matrix_(std::move(matrix)), ids_(std::move(ids)) {
    sources_.sources = {source};
    sources_.total_bytes = source.bytes;
    row_ = source.start_offset / matrix_->layout().RowBytes();
    buffer_begin_ = buffer_end_ = row_;
  }

  absl::StatusOr<std::optional<SourcedDocument>> Next() override;
  ReadMark mark() const override {
    if (row_ == matrix_->rows()) return {1, 0, 1};
    return {0, row_ * matrix_->layout().RowBytes(), row_ + 1};
  }
  const SourceList& sources() const override { return sources_; }
  uint64_t skipped() const override { return 0; }

 private:
  absl::Status Fill();

  const MatrixFeedOptions options_;
  const std::unique_ptr<MatrixReader> matrix_;
  const std::unique_ptr<IdFile> ids_;
  SourceList sources_;
  uint64_t row_ = 0;
  std::vector<float> buffer_;  // rows [buffer_begin_, buffer_end_)
  uint64_t buffer_begin_ = 0, buffer_end_ = 0;
};

absl::Status MatrixFeed::Fill() {
  const uint64_t rows =
      std::clamp<uint64_t>(kBufferBytes / (matrix_->dim() * sizeof(float)), 1, matrix_->rows() - row_);
  buffer_.resize(rows * matrix_->dim());
  RETURN_IF_ERROR(matrix_->Read(row_, rows, buffer_.data()));
  buffer_begin_ = row_;
  buffer_end_ = row_ + rows;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SourcedDocument>> MatrixFeed::Next() {
  if (row_ == matrix_->rows()) return std::optional<SourcedDocument>();
  if (row_ == buffer_end_) RETURN_IF_ERROR(Fill());
  SourcedDocument sourced;
  sourced.source = matrix_->path();
  sourced.line = row_ + 1;
  sourced.offset = row_ * matrix_->layout().RowBytes();
  Document& document = sourced.document;
  document.tenant = options_.tenant;
  if (ids_ == nullptr) {
    document.id = absl::StrCat(row_);
  } else {
    ASSIGN_OR_RETURN(document.id, ids_->Next());
  }
  const float* values = buffer_.data() + (row_ - buffer_begin_) * matrix_->dim();
  document.chunks.resize(1);
  document.chunks[0].vectors[options_.vector_space].assign(values, values + matrix_->dim());
  sourced.content_hash = ContentHash(document);
  ++row_;
  return std::optional<SourcedDocument>(std::move(sourced));
}

}  // namespace

std::unique_ptr<Feed> MakeDocumentFeed(SourceList sources, DocumentReaderOptions options) {
  return std::make_unique<DocumentFeed>(std::move(sources), std::move(options));
}

absl::StatusOr<Source> MatrixSource(const std::string& path, const MatrixFeedOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<MatrixReader> matrix, MatrixReader::Open(path, options.format));
  Source source;
  source.path = path;
  source.bytes = matrix->rows() * matrix->layout().RowBytes();
  source.mtime_ns = matrix->file().mtime_ns();
  return source;
}

absl::StatusOr<uint32_t> MatrixDimension(const std::string& path, const MatrixFeedOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<MatrixReader> matrix, MatrixReader::Open(path, options.format));
  return static_cast<uint32_t>(matrix->dim());
}

absl::StatusOr<std::unique_ptr<Feed>> MakeMatrixFeed(const Source& source, const MatrixFeedOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<MatrixReader> matrix, MatrixReader::Open(source.path, options.format));
  const uint64_t row_bytes = matrix->layout().RowBytes();
  if (source.start_offset % row_bytes != 0 || source.start_offset > matrix->rows() * row_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": cannot go on at byte ", source.start_offset, " of its rows"));
  }
  std::unique_ptr<IdFile> ids;
  if (!options.ids_path.empty()) {
    ASSIGN_OR_RETURN(ids, IdFile::Open(options.ids_path, matrix->rows()));
    RETURN_IF_ERROR(ids->Skip(source.start_offset / row_bytes));
  }
  return std::unique_ptr<Feed>(new MatrixFeed(source, options, std::move(matrix), std::move(ids)));
}

}  // namespace larder::tools
