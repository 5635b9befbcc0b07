#include "tools/readers/document_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"
#include "tools/readers/html_text.h"

namespace larder::tools {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr uint64_t kMaxFileBytes = 16u << 20;  // what a document's text may have

absl::Status At(absl::string_view path, uint64_t line, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ":", line, ": ", status.message()));
}

// `text` begins at byte `offset` and line `line` of the file.
absl::Status CheckUtf8(absl::string_view path, absl::string_view text, uint64_t offset, uint64_t line) {
  const size_t valid = ValidUtf8Prefix(text);
  if (valid == text.size()) return absl::OkStatus();
  line += std::count(text.begin(), text.begin() + valid, '\n');
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": byte ", offset + valid,
                                                 ": expected UTF-8, found ",
                                                 QuoteForMessage(text.substr(valid, 1))));
}

// Faults of the document, as against those of the disk.
bool IsBadDocument(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentReader>> DocumentReader::Open(const std::vector<std::string>& paths,
                                                                     DocumentReaderOptions options) {
  ASSIGN_OR_RETURN(SourceList sources, ListSources(paths, options.format));
  return FromSources(std::move(sources), std::move(options));
}

std::unique_ptr<DocumentReader> DocumentReader::FromSources(SourceList sources,
                                                            DocumentReaderOptions options) {
  return std::unique_ptr<DocumentReader>(new DocumentReader(std::move(sources), std::move(options)));
}

DocumentReader::DocumentReader(SourceList sources, DocumentReaderOptions options)
    : sources_(std::move(sources)), options_(std::move(options)) {
  GoToStart();
}

void DocumentReader::GoToStart() {
  const bool left = index_ < sources_.sources.size();
  offset_ = left ? source().start_offset : 0;
  line_ = left ? source().start_line : 1;
}

absl::StatusOr<std::optional<SourcedDocument>> DocumentReader::Next() {
  while (index_ < sources_.sources.size()) {
    absl::StatusOr<std::optional<SourcedDocument>> sourced = NextInSource();
    if (!sourced.ok()) {
      if (!options_.skip_bad || !IsBadDocument(sourced.status())) return sourced.status();
      ++skipped_;
      options_.on_skip(sourced.status());
      continue;
    }
    if (sourced->has_value()) {
      Complete(&**sourced);
      return sourced;
    }
  }
  return std::optional<SourcedDocument>();
}

void DocumentReader::Complete(SourcedDocument* sourced) const {
  if (sourced->document.tenant.empty()) sourced->document.tenant = options_.tenant;
  sourced->content_hash = ContentHash(sourced->document);
}

absl::StatusOr<std::optional<SourcedDocument>> DocumentReader::NextInSource() {
  if (!file_) {
    absl::Status opened = OpenSource();
    if (!opened.ok()) {
      LeaveSource();
      return opened;
    }
  }
  if (source().format == DocumentFormat::kJsonLines) {
    absl::StatusOr<std::optional<SourcedDocument>> sourced = NextLine();
    if (sourced.ok() && !sourced->has_value()) LeaveSource();
    return sourced;
  }
  absl::StatusOr<std::optional<SourcedDocument>> sourced = std::optional<SourcedDocument>();
  if (offset_ == 0) sourced = ReadWholeFile();
  LeaveSource();
  return sourced;
}

absl::Status DocumentReader::OpenSource() {
  ASSIGN_OR_RETURN(InputFile file, InputFile::Open(source().path));
  if (offset_ > file.size()) {
    return absl::DataLossError(absl::StrCat(source().path, ": expected to go on at byte ", offset_,
                                            ", found a file of ", file.size(), " bytes"));
  }
  file_.emplace(std::move(file));
  lines_.emplace(&*file_, offset_, options_.max_line_bytes);
  return absl::OkStatus();
}

void DocumentReader::LeaveSource() {
  bytes_before_ += source().bytes;
  ++index_;
  GoToStart();
  lines_.reset();
  file_.reset();
}

absl::StatusOr<std::optional<SourcedDocument>> DocumentReader::NextLine() {
  while (true) {
    const uint64_t offset = offset_, line = line_++;
    absl::string_view text;
    absl::StatusOr<bool> more = lines_->Next(&text);
    offset_ = lines_->offset();
    if (!more.ok()) return At(source().path, line, more.status());
    if (!*more) return std::optional<SourcedDocument>();
    if (offset == 0 && absl::StartsWith(text, kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (absl::StripAsciiWhitespace(text).empty()) continue;
    RETURN_IF_ERROR(CheckUtf8(source().path, text, offset, line));
    absl::StatusOr<Document> document = ParseJsonDocument(text, options_.json);
    if (!document.ok()) return At(source().path, line, document.status());
    return SourcedDocument{*std::move(document), source().path, line, offset, 0};
  }
}

absl::StatusOr<std::optional<SourcedDocument>> DocumentReader::ReadWholeFile() {
  const std::string& path = source().path;
  if (file_->size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected at most ", kMaxFileBytes, " bytes, found ", file_->size()));
  }
  std::string bytes(file_->size(), '\0');
  RETURN_IF_ERROR(file_->ReadAt(0, bytes.size(), bytes.data()));
  RETURN_IF_ERROR(CheckUtf8(path, bytes, 0, 1));
  if (absl::StartsWith(bytes, kByteOrderMark)) bytes.erase(0, kByteOrderMark.size());
  absl::StatusOr<Document> document = ConvertFile(std::move(bytes));
  if (!document.ok()) return At(path, 1, document.status());
  if (absl::StripAsciiWhitespace(document->text).empty()) {
    ++skipped_;
    options_.on_skip(absl::InvalidArgumentError(absl::StrCat(path, ": holds no text")));
    return std::optional<SourcedDocument>();
  }
  return SourcedDocument{*std::move(document), path, 1, 0, 0};
}

absl::StatusOr<Document> DocumentReader::ConvertFile(std::string bytes) const {
  Document document;
  document.id = source().path;
  document.uri = source().path;
  switch (source().format) {
    case DocumentFormat::kHtml: {
      ASSIGN_OR_RETURN(HtmlText page, HtmlToMarkdown(bytes));
      document.title = std::move(page.title);
      document.text = std::move(page.markdown);
      document.media_type = "text/markdown";
      break;
    }
    case DocumentFormat::kMarkdown:
      document.media_type = "text/markdown";
      [[fallthrough]];
    default:
      document.text = std::move(bytes);
  }
  return document;
}

}  // namespace larder::tools
