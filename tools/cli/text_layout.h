// Text for a terminal: wrapped paragraphs, aligned columns, numbers with units. Pure functions;
// thread-safe. Widths count code points, which is right for all but East Asian wide characters.
#ifndef LARDER_TOOLS_CLI_TEXT_LAYOUT_H_
#define LARDER_TOOLS_CLI_TEXT_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace larder::tools {

// Columns of the terminal on standard output; $COLUMNS, then 80, if it is not a terminal. 40 to 100:
// longer lines are hard to read.
size_t TerminalWidth();

size_t DisplayWidth(absl::string_view utf8);

// Words of `text` in lines of at most `width` columns, each after `indent` spaces and ended by '\n'.
// A word longer than the line stands alone. Control characters become spaces: stored text must not
// steer the terminal.
std::string Wrap(absl::string_view text, size_t width, size_t indent);
// At most `max_lines` lines of it; " …" ends the last if there was more.
std::string WrapLines(absl::string_view text, size_t width, size_t indent, size_t max_lines);
// One line with control characters replaced; for ids and titles.
std::string Printable(absl::string_view text);

std::string Thousands(uint64_t value);   // 1,234,567
std::string HumanBytes(uint64_t bytes);  // 512 B, 1.5 KiB, 20.0 MiB
std::string HumanMicros(double micros);  // 12 µs, 3.4 ms, 1.20 s
std::string UtcTime(int64_t unix_ms);    // 2024-05-01 12:00:00 UTC

// Rows of cells, aligned when printed. A column whose cells below the heading all look like numbers
// is aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_TEXT_LAYOUT_H_
