// The readable text of an HTML page, as Markdown: headings, list items, code and paragraphs keep
// their shape; scripts, styles and the like are left out; entities are decoded.
#ifndef LARDER_TOOLS_READERS_HTML_TEXT_H_
#define LARDER_TOOLS_READERS_HTML_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::tools {

struct HtmlText {
  std::string title;  // of <title>, on one line
  std::string markdown;
};

// `html` is UTF-8. Errors: those of HtmlTree::Parse. Thread-safe.
absl::StatusOr<HtmlText> HtmlToMarkdown(absl::string_view html);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_HTML_TEXT_H_
