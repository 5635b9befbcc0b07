// Which lines are headings, in Markdown and in plain text, and the path of headings that a place in
// a document lies under.
#ifndef LARDER_ENGINE_HEADINGS_H_
#define LARDER_ENGINE_HEADINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace larder {

struct Heading {
  uint32_t level = 0;  // 1 is the outermost
  std::string title;   // trimmed, on one line, at most kMaxTitleBytes; may be empty ("##")
};

// A title longer than this is cut: it is repeated in every chunk of its section.
inline constexpr size_t kMaxTitleBytes = 200;

// Lines come without their line end.

// "## Title ##" with at most three leading spaces (CommonMark 4.2).
std::optional<Heading> AtxHeading(absl::string_view line);

// 1 for a line of "=", 2 for a line of "-" (CommonMark 4.3); 0 for any other.
uint32_t UnderlineLevel(absl::string_view line);

// A heading of plain text that stands alone on its line, after a blank line or at the start:
// "DESCRIPTION" as man pages have it (level 1), or "1.2 Title" (level 2). `next` is the line after;
// absent at the end of the text.
std::optional<Heading> PlainHeading(absl::string_view line, std::optional<absl::string_view> next);

// A line of plain text that `underline` makes a heading, as in "Title\n=====".
bool IsUnderlined(absl::string_view line, absl::string_view underline);

// Makes a heading of text that may run over several lines.
Heading MakeHeading(uint32_t level, absl::string_view title);

// The headings around the place a reader has come to. Copyable.
class SectionPath {
 public:
  void Enter(const Heading& heading);  // leaves the sections of the same or a deeper level
  uint32_t level() const { return open_.empty() ? 0 : open_.back().level; }
  std::string ToString() const;  // "Guide > Install"; untitled sections are left out

 private:
  std::vector<Heading> open_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_HEADINGS_H_
