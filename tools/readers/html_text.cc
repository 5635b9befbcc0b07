#include "tools/readers/html_text.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "storage/status_macros.h"
#include "tools/readers/html_tree.h"

namespace larder::tools {
namespace {

// Collects words and breaks, and writes no more white space than they need.
class MarkdownWriter {
 public:
  // Inline text: runs of white space are one space.
  void Text(absl::string_view text) {
    for (char c : text) {
      if (absl::ascii_isspace(c)) {
        space_ = true;
      } else {
        Put(c);
      }
    }
  }
  void LineBreak() { breaks_ = std::max(breaks_, 1); }
  void ParagraphBreak() { breaks_ = 2; }
  // Marks such as "## " or "- ", which belong to the text that follows.
  void Prefix(absl::string_view mark) { prefix_ = std::string(mark); }
  void DropPrefix() { prefix_.clear(); }

  void CodeBlock(absl::string_view code) {
    size_t longest = 0, run = 0;
    for (char c : code) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
    const std::string fence(std::max<size_t>(3, longest + 1), '`');
    ParagraphBreak();
    WriteBreaks();
    absl::StrAppend(&out_, fence, "\n", code, code.empty() || code.back() != '\n' ? "\n" : "", fence);
    ParagraphBreak();
  }

  std::string Finish() && { return std::move(out_); }

 private:
  void Put(char c) {
    bool fresh_line = out_.empty() || breaks_ > 0;
    WriteBreaks();
    if (fresh_line) {
      out_ += prefix_;
      // Text that would be read as a heading or a fence.
      if (prefix_.empty() && (c == '#' || c == '`' || c == '~')) out_ += '\\';
      prefix_.clear();
    } else if (space_) {
      out_ += ' ';
    }
    space_ = false;
    out_ += c;
  }

  void WriteBreaks() {
    if (!out_.empty()) out_.append(breaks_, '\n');
    breaks_ = 0;
  }

  std::string out_;
  std::string prefix_;
  int breaks_ = 0;
  bool space_ = false;
};

// Calls enter for every node and leave for every element, in document order, without recursion.
// enter tells whether to go into the node.
template <typename Enter, typename Leave>
void Walk(const GumboNode* root, Enter enter, Leave leave) {
  struct Frame {
    const GumboNode* node;
    unsigned child;
  };
  std::vector<Frame> stack;
  auto visit = [&](const GumboNode* node) {
    bool element = node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE;
    if (enter(node) && element) stack.push_back({node, 0});
  };
  visit(root);
  while (!stack.empty()) {
    Frame& top = stack.back();
    const GumboVector& children = top.node->v.element.children;
    if (top.child < children.length) {
      visit(static_cast<const GumboNode*>(children.data[top.child++]));
    } else {
      const GumboNode* node = top.node;
      stack.pop_back();
      leave(node);
    }
  }
}

bool HoldsText(const GumboNode* node) {
  return node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA ||
         node->type == GUMBO_NODE_WHITESPACE;
}

std::string AllText(const GumboNode* root) {
  std::string text;
  Walk(
      root,
      [&](const GumboNode* node) {
        if (HoldsText(node)) absl::StrAppend(&text, node->v.text.text);
        if (node->type == GUMBO_NODE_ELEMENT && node->v.element.tag == GUMBO_TAG_BR) text += '\n';
        return true;
      },
      [](const GumboNode*) {});
  return text;
}

enum class TagKind { kInline, kBlock, kDropped, kHeading, kItem, kCode, kBreak, kCell, kRow, kImage };

TagKind KindOf(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_NOFRAMES:
      return TagKind::kDropped;
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
      return TagKind::kHeading;
    case GUMBO_TAG_LI:
      return TagKind::kItem;
    case GUMBO_TAG_PRE:
      return TagKind::kCode;
    case GUMBO_TAG_BR:
      return TagKind::kBreak;
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
      return TagKind::kCell;
    case GUMBO_TAG_TR:
    case GUMBO_TAG_OPTION:
      return TagKind::kRow;
    case GUMBO_TAG_IMG:
      return TagKind::kImage;
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_BODY:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_DD:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_HGROUP:
    case GUMBO_TAG_HR:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_P:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_CENTER:
      return TagKind::kBlock;
    default:
      return TagKind::kInline;
  }
}

// Walks the page and writes it.
class PageReader {
 public:
  HtmlText Read(const GumboNode* root) {
    Walk(
        root, [this](const GumboNode* node) { return Enter(node); },
        [this](const GumboNode* node) { Leave(node); });
    HtmlText page;
    page.title = std::move(title_);
    page.markdown = std::move(writer_).Finish();
    return page;
  }

 private:
  bool Enter(const GumboNode* node);
  bool EnterElement(const GumboNode* node);
  void Leave(const GumboNode* node);
  void TakeTitle(const GumboNode* head);
  // A heading stays on its line.
  void Break() { headings_ > 0 ? writer_.Text(" ") : writer_.LineBreak(); }

  MarkdownWriter writer_;
  std::string title_;
  bool row_has_cell_ = false;
  int headings_ = 0;  // open ones; HTML lets blocks stand inside
};

void PageReader::TakeTitle(const GumboNode* head) {
  const GumboVector& children = head->v.element.children;
  for (unsigned i = 0; i < children.length && title_.empty(); ++i) {
    const auto* child = static_cast<const GumboNode*>(children.data[i]);
    if (child->type == GUMBO_NODE_ELEMENT && child->v.element.tag == GUMBO_TAG_TITLE) title_ = AllText(child);
  }
  absl::RemoveExtraAsciiWhitespace(&title_);
  std::replace_if(
      title_.begin(), title_.end(), [](char c) { return absl::ascii_isspace(c); }, ' ');
}

bool PageReader::Enter(const GumboNode* node) {
  if (HoldsText(node)) writer_.Text(node->v.text.text);
  return node->type == GUMBO_NODE_ELEMENT && EnterElement(node);
}

bool PageReader::EnterElement(const GumboNode* node) {
  const GumboTag tag = node->v.element.tag;
  switch (KindOf(tag)) {
    case TagKind::kDropped:
      if (tag == GUMBO_TAG_HEAD) TakeTitle(node);
      return false;
    case TagKind::kHeading:
      if (headings_++ > 0) return true;
      writer_.ParagraphBreak();
      writer_.Prefix(absl::StrCat(std::string(1 + tag - GUMBO_TAG_H1, '#'), " "));
      return true;
    case TagKind::kItem:
      Break();
      if (headings_ == 0) writer_.Prefix("- ");
      return true;
    case TagKind::kCode:
      if (headings_ > 0) return true;
      writer_.DropPrefix();
      writer_.CodeBlock(AllText(node));
      return false;
    case TagKind::kBreak:
      Break();
      return true;
    case TagKind::kRow:
      Break();
      row_has_cell_ = false;
      return true;
    case TagKind::kCell:
      if (row_has_cell_) writer_.Text(" | ");
      row_has_cell_ = true;
      return true;
    case TagKind::kImage:
      if (const GumboAttribute* alt = gumbo_get_attribute(&node->v.element.attributes, "alt")) {
        writer_.Text(absl::StrCat(" ", alt->value, " "));
      }
      return false;
    case TagKind::kBlock:
      headings_ > 0 ? writer_.Text(" ") : writer_.ParagraphBreak();
      return true;
    case TagKind::kInline:
      return true;
  }
  return true;
}

void PageReader::Leave(const GumboNode* node) {
  switch (KindOf(node->v.element.tag)) {
    case TagKind::kHeading:
      if (--headings_ > 0) return;
      writer_.DropPrefix();
      return writer_.ParagraphBreak();
    case TagKind::kBlock:
      return headings_ > 0 ? writer_.Text(" ") : writer_.ParagraphBreak();
    case TagKind::kItem:
      if (headings_ == 0) writer_.DropPrefix();
      return Break();
    case TagKind::kRow:
      return Break();
    default:
      return;
  }
}

}  // namespace

absl::StatusOr<HtmlText> HtmlToMarkdown(absl::string_view html) {
  ASSIGN_OR_RETURN(std::unique_ptr<HtmlTree> tree, HtmlTree::Parse(html));
  return PageReader().Read(tree->root());
}

}  // namespace larder::tools
