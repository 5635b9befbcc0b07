// Which files a list of paths means: files by their extension, directories recursively.
#ifndef LARDER_TOOLS_READERS_SOURCE_LIST_H_
#define LARDER_TOOLS_READERS_SOURCE_LIST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::tools {

enum class DocumentFormat : uint8_t { kText, kMarkdown, kHtml, kJsonLines };

// "text", "markdown", "html", "jsonl".
std::optional<DocumentFormat> DocumentFormatFromName(absl::string_view name);
// By extension: .txt, .md .markdown, .html .htm .xhtml, .jsonl .ndjson.
std::optional<DocumentFormat> DocumentFormatOf(absl::string_view path);

struct Source {
  std::string path;  // as given, without "./" and doubled slashes; the id of a one-document file
  DocumentFormat format = DocumentFormat::kText;
  uint64_t bytes = 0;
  int64_t mtime_ns = 0;
  uint64_t start_offset = 0;  // where reading is to begin: a line's first byte, and its number
  uint64_t start_line = 1;
};

struct SourceList {
  std::vector<Source> sources;  // in the order of the paths; inside a directory, sorted by name
  uint64_t total_bytes = 0;
  uint64_t unknown_files = 0;  // passed over in directories, for their extension
};

// A file that is named itself must have a known extension, unless `forced` says what it is; in
// directories, other files, hidden ones and symbolic links are passed over. A file that is met twice
// counts once. NotFound, PermissionDenied or InvalidArgument name the path.
absl::StatusOr<SourceList> ListSources(const std::vector<std::string>& paths,
                                       std::optional<DocumentFormat> forced = {});

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_SOURCE_LIST_H_
