// Documents out of files: .txt, .md, .html (one a file), .jsonl (one a line), in a fixed order, so that
// a reader that starts anew can go on where another stopped.
#ifndef LARDER_TOOLS_READERS_DOCUMENT_READER_H_
#define LARDER_TOOLS_READERS_DOCUMENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/types.h"
#include "tools/readers/input_file.h"
#include "tools/readers/json_document.h"
#include "tools/readers/line_reader.h"
#include "tools/readers/source_list.h"

namespace larder::tools {

struct DocumentReaderOptions {
  std::optional<DocumentFormat> format;  // of every file; absent = by extension
  JsonDocumentOptions json;
  std::string tenant;  // of documents that do not name theirs
  // A document that is not UTF-8, no JSON, too large or ill-formed ends the reading, or is passed over
  // and told to `on_skip`. A file without text is always passed over.
  bool skip_bad = false;
  std::function<void(const absl::Status&)> on_skip = [](const absl::Status&) {};
  size_t max_line_bytes = 64u << 20;
};

// How far a list of sources has been read: all before `source`, and of that one what lies before
// `offset` and `line`. A .jsonl can be read on from there (Source::start_offset); another file is
// read whole or not at all.
struct ReadMark {
  size_t source = 0;
  uint64_t offset = 0;
  uint64_t line = 1;
};

struct SourcedDocument {
  Document document;
  std::string source;         // path
  uint64_t line = 1;          // where it begins
  uint64_t offset = 0;        // likewise, in bytes
  uint64_t content_hash = 0;  // see ContentHash
};

// Tells whether two documents are the same in all that a user gives: FNV-1a of every field. Against
// accidents, not against malice.
uint64_t ContentHash(const Document& document);

// Single-threaded.
class DocumentReader {
 public:
  // Errors: those of ListSources.
  static absl::StatusOr<std::unique_ptr<DocumentReader>> Open(const std::vector<std::string>& paths,
                                                              DocumentReaderOptions options = {});
  static std::unique_ptr<DocumentReader> FromSources(SourceList sources, DocumentReaderOptions options = {});

  // The next document; absent at the end. Errors name file, line and byte. After an error, the next
  // call goes on behind the bad document.
  absl::StatusOr<std::optional<SourcedDocument>> Next();

  const SourceList& sources() const { return sources_; }
  ReadMark mark() const { return {index_, offset_, line_}; }  // behind the last document
  // Of sources().total_bytes, those that lie before the mark.
  uint64_t consumed_bytes() const { return bytes_before_ + offset_; }
  uint64_t skipped() const { return skipped_; }

 private:
  DocumentReader(SourceList sources, DocumentReaderOptions options);

  const Source& source() const { return sources_.sources[index_]; }
  absl::StatusOr<std::optional<SourcedDocument>> NextInSource();
  absl::StatusOr<std::optional<SourcedDocument>> NextLine();
  absl::StatusOr<std::optional<SourcedDocument>> ReadWholeFile();
  absl::StatusOr<Document> ConvertFile(std::string bytes) const;
  absl::Status OpenSource();
  void LeaveSource();
  void GoToStart();
  void Complete(SourcedDocument* sourced) const;

  const SourceList sources_;
  const DocumentReaderOptions options_;
  size_t index_ = 0;           // of the source being read
  uint64_t bytes_before_ = 0;  // of the sources before it
  uint64_t offset_ = 0, line_ = 1;
  std::optional<InputFile> file_;
  std::optional<LineReader> lines_;
  uint64_t skipped_ = 0;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_DOCUMENT_READER_H_
