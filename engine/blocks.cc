#include "engine/blocks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "engine/text_breaks.h"

namespace larder {
namespace {

constexpr int kMaxSetextLines = 3;

bool IsListItem(absl::string_view line) {
  line = absl::StripLeadingAsciiWhitespace(line);
  if (absl::ConsumePrefix(&line, "\xE2\x80\xA2")) return true;  // a bullet
  size_t digits = 0;
  while (digits < line.size() && digits < 9 && absl::ascii_isdigit(line[digits])) ++digits;
  size_t mark = digits;
  if (mark >= line.size()) return false;
  absl::string_view marks = digits > 0 ? ".)" : "-*+";
  if (marks.find(line[mark]) == absl::string_view::npos) return false;
  return mark + 1 < line.size() && (line[mark + 1] == ' ' || line[mark + 1] == '\t');
}

bool StartsWithDigit(absl::string_view text) { return !text.empty() && absl::ascii_isdigit(text[0]); }

}  // namespace

TextLine LineAt(absl::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && text[end] != '\n' && text[end] != '\r') ++end;
  size_t next = end;
  if (next < text.size() && text[next] == '\r') ++next;
  if (next < text.size() && text[next] == '\n') ++next;
  return {begin, end, next};
}

absl::string_view BlockScanner::View(const TextLine& line) const {
  return text_.substr(line.begin, line.end - line.begin);
}

bool BlockScanner::IsBlank(const TextLine& line) const {
  return absl::StripAsciiWhitespace(View(line)).empty();
}

std::optional<absl::string_view> BlockScanner::ViewAt(size_t begin) const {
  if (begin >= text_.size()) return {};
  return View(LineAt(text_, begin));
}

bool BlockScanner::SkipBlankLines() {
  while (pos_ < text_.size()) {
    TextLine line = LineAt(text_, pos_);
    if (!IsBlank(line)) return true;
    after_blank_ = true;
    pos_ = line.next;
  }
  return false;
}

bool BlockScanner::Next(Block* block) {
  if (pos_ == 0 && markdown_ && ReadFrontMatter(block)) return true;
  if (!SkipBlankLines()) return false;
  TextLine first = LineAt(text_, pos_);
  if (markdown_ && ReadFence(first, block)) return true;
  if (markdown_ ? ReadHeading(first, block) : ReadPlainHeading(first, block)) {
    in_list_ = false;
    after_blank_ = true;  // one heading may follow another directly
    return true;
  }
  after_blank_ = false;
  ReadParagraph(first, block);
  return true;
}

// "---", lines of YAML, "---": text, whose last line would else make the rest a heading.
bool BlockScanner::ReadFrontMatter(Block* block) {
  TextLine line = LineAt(text_, 0);
  if (View(line) != "---") return false;
  while (line.next < text_.size()) {
    line = LineAt(text_, line.next);
    absl::string_view view = View(line);
    if (IsBlank(line)) return false;
    if (view == "---" || view == "...") {
      *block = {0, line.end, BlockKind::kParagraph, {}};
      pos_ = line.next;
      return true;
    }
  }
  return false;
}

std::optional<BlockScanner::Fence> BlockScanner::FenceAt(const TextLine& line) const {
  absl::string_view view = View(line);
  size_t indent = std::min(view.find_first_not_of(' '), view.size());
  if (indent > 3 && !in_list_) return {};
  view.remove_prefix(indent);
  if (view.empty() || (view[0] != '`' && view[0] != '~')) return {};
  size_t length = std::min(view.find_first_not_of(view[0]), view.size());
  if (length < 3) return {};
  if (view[0] == '`' && absl::StrContains(view.substr(length), "`")) return {};
  return Fence{view[0], length};
}

bool BlockScanner::ReadFence(const TextLine& first, Block* block) {
  std::optional<Fence> open = FenceAt(first);
  if (!open.has_value()) return false;
  TextLine line = first;
  size_t last_text = first.end;
  while (line.next < text_.size()) {  // an open fence runs to the end
    line = LineAt(text_, line.next);
    if (!IsBlank(line)) last_text = line.end;
    std::optional<Fence> close = FenceAt(line);
    absl::string_view view = absl::StripAsciiWhitespace(View(line));
    if (close.has_value() && close->mark == open->mark && close->length >= open->length &&
        view.size() == close->length) {
      break;
    }
  }
  *block = {first.begin, last_text, BlockKind::kCode, {}};
  pos_ = line.next;
  return true;
}

bool BlockScanner::ReadHeading(const TextLine& first, Block* block) {
  std::optional<Heading> heading = AtxHeading(View(first));
  if (!heading.has_value()) return false;
  *block = {first.begin, first.end, BlockKind::kHeading, *std::move(heading)};
  pos_ = first.next;
  return true;
}

bool BlockScanner::ReadPlainHeading(const TextLine& first, Block* block) {
  uint32_t list_level = std::exchange(title_list_level_, 0);
  if (!after_blank_) return false;
  std::optional<absl::string_view> next = ViewAt(first.next);
  if (next.has_value() && IsUnderlined(View(first), *next)) {
    TextLine underline = LineAt(text_, first.next);
    *block = {first.begin, underline.end, BlockKind::kHeading,
              MakeHeading(UnderlineLevel(*next), View(first))};
    pos_ = underline.next;
    return true;
  }
  std::optional<Heading> heading = PlainHeading(View(first), next);
  if (!heading.has_value()) return false;
  if (list_level == heading->level || IsListOfTitles(*heading, first)) {
    title_list_level_ = heading->level;
    return false;
  }
  *block = {first.begin, first.end, BlockKind::kHeading, *std::move(heading)};
  pos_ = first.next;
  return true;
}

bool BlockScanner::IsListOfTitles(const Heading& heading, const TextLine& line) const {
  if (!StartsWithDigit(heading.title)) return false;
  TextLine next{line.next, line.next, line.next};
  while (next.next < text_.size()) {
    next = LineAt(text_, next.next);
    if (IsBlank(next)) continue;
    std::optional<Heading> other = PlainHeading(View(next), ViewAt(next.next));
    return other.has_value() && other->level == heading.level && StartsWithDigit(other->title);
  }
  return false;
}

bool BlockScanner::InterruptsParagraph(const TextLine& line) const {
  if (IsBlank(line) || IsListItem(View(line))) return true;
  return markdown_ && (AtxHeading(View(line)).has_value() || FenceAt(line).has_value());
}

void BlockScanner::ReadParagraph(const TextLine& first, Block* block) {
  bool item = IsListItem(View(first));
  if (item || !absl::ascii_isspace(text_[first.begin])) in_list_ = item;
  *block = {first.begin, first.end, item ? BlockKind::kListItem : BlockKind::kParagraph, {}};
  pos_ = first.next;
  for (int lines = 1; pos_ < text_.size(); ++lines) {
    TextLine line = LineAt(text_, pos_);
    uint32_t underline = markdown_ && !item && lines <= kMaxSetextLines ? UnderlineLevel(View(line)) : 0;
    if (underline > 0 && UnderlineLevel(View(first)) == 0) {
      absl::string_view title = text_.substr(block->begin, block->end - block->begin);
      *block = {first.begin, line.end, BlockKind::kHeading, MakeHeading(underline, title)};
      pos_ = line.next;
      return;
    }
    if (InterruptsParagraph(line)) return;
    block->end = line.end;
    pos_ = line.next;
  }
}

}  // namespace larder
