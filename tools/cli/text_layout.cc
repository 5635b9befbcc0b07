#include "tools/cli/text_layout.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace larder::tools {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

std::vector<std::string> Words(absl::string_view text) {
  return absl::StrSplit(Printable(text), ' ', absl::SkipEmpty());
}

// Lines of words, without indentation.
std::vector<std::string> Lines(absl::string_view text, size_t width) {
  std::vector<std::string> lines;
  size_t columns = 0;
  for (const std::string& word : Words(text)) {
    const size_t word_columns = DisplayWidth(word);
    if (!lines.empty() && columns + 1 + word_columns <= width) {
      absl::StrAppend(&lines.back(), " ", word);
      columns += 1 + word_columns;
    } else {
      lines.push_back(word);
      columns = word_columns;
    }
  }
  return lines;
}

// Drops words from the end of `line` until " …" fits.
void Ellipsize(std::string& line, size_t width) {
  while (DisplayWidth(line) + 2 > width) {
    const size_t space = line.rfind(' ');
    if (space == std::string::npos) break;
    line.resize(space);
  }
  absl::StrAppend(&line, " …");
}

bool LooksNumeric(absl::string_view cell) {
  return !cell.empty() && (absl::ascii_isdigit(cell[0]) || (cell[0] == '-' && cell.size() > 1));
}

std::string Padded(absl::string_view cell, size_t width, bool right) {
  const size_t columns = DisplayWidth(cell);
  const std::string padding(columns < width ? width - columns : 0, ' ');
  return right ? absl::StrCat(padding, cell) : absl::StrCat(cell, padding);
}

}  // namespace

size_t TerminalWidth() {
  size_t columns = 80;
  winsize size{};
  const char* variable = std::getenv("COLUMNS");
  uint32_t given = 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    columns = size.ws_col;
  } else if (variable != nullptr && absl::SimpleAtoi(variable, &given)) {
    columns = given;
  }
  return std::clamp<size_t>(columns, 40, 100);
}

size_t DisplayWidth(absl::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (char& byte : printable) {
    if (IsControl(static_cast<unsigned char>(byte))) byte = ' ';
  }
  return printable;
}

std::string WrapLines(absl::string_view text, size_t width, size_t indent, size_t max_lines) {
  const size_t room = width > indent + 20 ? width - indent : 20;
  std::vector<std::string> lines = Lines(text, room);
  if (lines.size() > max_lines) {
    lines.resize(max_lines);
    if (!lines.empty()) Ellipsize(lines.back(), room);
  }
  std::string wrapped;
  for (const std::string& line : lines) absl::StrAppend(&wrapped, std::string(indent, ' '), line, "\n");
  return wrapped;
}

std::string Wrap(absl::string_view text, size_t width, size_t indent) {
  return WrapLines(text, width, indent, text.size() + 1);
}

std::string Thousands(uint64_t value) {
  const std::string digits = absl::StrCat(value);
  std::string text;
  for (size_t place = 0; place < digits.size(); ++place) {
    if (place > 0 && (digits.size() - place) % 3 == 0) text.push_back(',');
    text.push_back(digits[place]);
  }
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; amount >= 1023.95 && unit + 1 < std::size(kUnits); ++unit) amount /= 1024;
  return absl::StrFormat("%.1f %s", amount, kUnits[unit]);
}

std::string HumanMicros(double micros) {
  if (micros < 1000) return absl::StrFormat("%.0f µs", micros);
  if (micros < 1e6) return absl::StrFormat("%.1f ms", micros / 1e3);
  return absl::StrFormat("%.2f s", micros / 1e6);
}

std::string UtcTime(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

std::string Table::ToString() const {
  const size_t columns = rows_[0].size();
  std::vector<size_t> widths(columns, 0);
  std::vector<bool> right(columns, rows_.size() > 1);
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (size_t column = 0; column < columns; ++column) {
      widths[column] = std::max(widths[column], DisplayWidth(rows_[row][column]));
      if (row > 0 && !LooksNumeric(rows_[row][column])) right[column] = false;
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t column = 0; column < columns; ++column) {
      absl::StrAppend(&line, column == 0 ? "" : "  ", Padded(row[column], widths[column], right[column]));
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace larder::tools
