#include "engine/headings.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/text_breaks.h"

namespace larder {
namespace {

constexpr size_t kMaxPlainTitleBytes = 100;
constexpr uint32_t kMaxLevel = 6;

size_t Indent(absl::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); }

bool IsBlank(absl::string_view line) { return absl::StripAsciiWhitespace(line).empty(); }

// Neither a sentence nor a line of columns: both may stand in capitals.
bool LooksLikeTitle(absl::string_view title) {
  return !title.empty() && title.size() <= kMaxPlainTitleBytes && !absl::StrContains(title, "   ") &&
         absl::string_view(".,;:!?").find(title.back()) == absl::string_view::npos;
}

struct LetterCase {
  int upper = 0, lower = 0;
};

LetterCase CountCase(absl::string_view text) {
  LetterCase count;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (int32_t i = 0, size = static_cast<int32_t>(text.size()); i < size;) {
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    if (c < 0) continue;
    if (u_isUUppercase(c)) ++count.upper;
    if (u_isULowercase(c)) ++count.lower;
  }
  return count;
}

bool IsManPageTitle(absl::string_view line, std::optional<absl::string_view> next) {
  if (Indent(line) != 0 || !LooksLikeTitle(line)) return false;
  // In a text that is all in capitals, the next line goes on at the margin.
  bool alone = !next.has_value() || IsBlank(*next) || absl::ascii_isspace(next->front());
  if (!alone) return false;
  LetterCase count = CountCase(line);
  return count.upper >= 2 && count.lower == 0;
}

// The number of components of "1.2.3" at the start of the line, and where the title begins.
uint32_t NumberDepth(absl::string_view line, size_t* title) {
  uint32_t depth = 0;
  size_t i = 0;
  while (i < line.size() && absl::ascii_isdigit(line[i])) {
    size_t digits = i;
    while (i < line.size() && absl::ascii_isdigit(line[i])) ++i;
    if (i - digits > 3) return 0;  // a year is not a section
    ++depth;
    if (i < line.size() && line[i] == '.') ++i;
  }
  *title = i + Indent(line.substr(i));
  return *title > i ? depth : 0;
}

bool StartsWithCapital(absl::string_view title) {
  int32_t i = 0;
  UChar32 c;
  U8_NEXT(reinterpret_cast<const uint8_t*>(title.data()), i, static_cast<int32_t>(title.size()), c);
  // Scripts without case have no small letters to tell a sentence by.
  return c >= 0 && u_isalpha(c) && !u_isULowercase(c);
}

std::optional<Heading> NumberedTitle(absl::string_view line, std::optional<absl::string_view> next) {
  if (Indent(line) != 0 || !LooksLikeTitle(line) || (next.has_value() && !IsBlank(*next))) return {};
  size_t title = 0;
  uint32_t depth = NumberDepth(line, &title);
  if (depth == 0 || depth > kMaxLevel || !StartsWithCapital(line.substr(title))) return {};
  return MakeHeading(depth, line);
}

size_t CountCodePoints(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

Heading MakeHeading(uint32_t level, absl::string_view title) {
  size_t begin = 0, end = title.size();
  TrimRange(title, &begin, &end);
  title = title.substr(begin, end - begin);
  title = title.substr(0, CodePointFloor(title, kMaxTitleBytes));
  Heading heading{level, std::string(title)};
  std::replace_if(heading.title.begin(), heading.title.end(), IsAsciiSpace, ' ');
  absl::RemoveExtraAsciiWhitespace(&heading.title);
  return heading;
}

std::optional<Heading> AtxHeading(absl::string_view line) {
  size_t indent = Indent(line);
  if (indent > 3) return {};
  line.remove_prefix(indent);
  uint32_t level = static_cast<uint32_t>(std::min(line.find_first_not_of('#'), line.size()));
  if (level < 1 || level > 6) return {};
  line.remove_prefix(level);
  if (!line.empty() && line.front() != ' ' && line.front() != '\t') return {};
  line = absl::StripAsciiWhitespace(line);
  size_t last = line.find_last_not_of('#');
  if (last == absl::string_view::npos) return MakeHeading(level, "");
  if (line[last] == ' ' || line[last] == '\t') line = line.substr(0, last);
  return MakeHeading(level, line);
}

uint32_t UnderlineLevel(absl::string_view line) {
  if (Indent(line) > 3) return 0;
  line = absl::StripAsciiWhitespace(line);
  if (line.empty() || (line[0] != '=' && line[0] != '-')) return 0;
  if (line.find_first_not_of(line[0]) != absl::string_view::npos) return 0;
  return line[0] == '=' ? 1 : 2;
}

bool IsUnderlined(absl::string_view line, absl::string_view underline) {
  line = absl::StripAsciiWhitespace(line);
  size_t length = absl::StripAsciiWhitespace(underline).size();
  return UnderlineLevel(underline) > 0 && length >= 3 && !line.empty() && line.size() <= kMaxTitleBytes &&
         UnderlineLevel(line) == 0 && 2 * length >= CountCodePoints(line);
}

std::optional<Heading> PlainHeading(absl::string_view line, std::optional<absl::string_view> next) {
  line = absl::StripTrailingAsciiWhitespace(line);
  if (IsManPageTitle(line, next)) {
    size_t title = 0;
    uint32_t depth = NumberDepth(line, &title);  // "2.1 SCOPE" is numbered as well
    return MakeHeading(std::clamp(depth, 1u, kMaxLevel), line);
  }
  return NumberedTitle(line, next);
}

void SectionPath::Enter(const Heading& heading) {
  while (!open_.empty() && open_.back().level >= heading.level) open_.pop_back();
  open_.push_back(heading);
}

std::string SectionPath::ToString() const {
  std::string path;
  for (const Heading& heading : open_) {
    if (heading.title.empty()) continue;
    if (!path.empty()) absl::StrAppend(&path, " > ");
    absl::StrAppend(&path, heading.title);
  }
  return path;
}

}  // namespace larder
