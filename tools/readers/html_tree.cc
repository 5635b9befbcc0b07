#include "tools/readers/html_tree.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace larder::tools {
namespace {

bool IsOneOf(absl::string_view name, absl::string_view names) {
  return absl::StrContains(names, absl::StrCat(" ", name, " "));
}

bool EndsByItself(absl::string_view name) {
  return IsOneOf(name,
                 " area base br col embed hr img input link meta param source track wbr p li dt dd tr td th "
                 "thead tbody tfoot colgroup option optgroup rb rt rtc rp html head body ");
}

// The text inside is no markup.
bool HoldsRawText(absl::string_view name) {
  return IsOneOf(name, " script style textarea title xmp noframes ");
}

size_t FindEndTag(absl::string_view html, size_t from, absl::string_view name) {
  const std::string tag = absl::StrCat("</", name);
  for (size_t at = html.find("</", from); at != absl::string_view::npos; at = html.find("</", at + 2)) {
    if (absl::StartsWithIgnoreCase(html.substr(at), tag)) return at;
  }
  return html.size();
}

}  // namespace

size_t HtmlDepth(absl::string_view html) {
  std::map<std::string, size_t> open;
  size_t depth = 0, deepest = 0;
  for (size_t at = html.find('<'); at < html.size(); at = html.find('<', at)) {
    if (absl::StartsWith(html.substr(at), "<!--")) {
      at = std::min(html.find("-->", at), html.size());
      continue;
    }
    size_t begin = at + 1;
    const bool closing = begin < html.size() && html[begin] == '/';
    if (closing) ++begin;
    size_t end = begin;
    while (end < html.size() && absl::ascii_isalnum(html[end])) ++end;
    at = std::max(end, at + 1);
    if (end == begin || !absl::ascii_isalpha(html[begin]) || end - begin > 32) continue;
    const std::string name = absl::AsciiStrToLower(html.substr(begin, end - begin));
    if (EndsByItself(name)) continue;
    if (HoldsRawText(name)) {
      if (!closing) at = FindEndTag(html, end, name);
      continue;
    }
    size_t& count = open[name];
    if (closing && count > 0) --count, --depth;
    if (!closing) ++count, deepest = std::max(deepest, ++depth);
    if (deepest > kMaxHtmlDepth) break;  // enough is known; `open` stays small
  }
  return deepest;
}

HtmlTree::HtmlTree() : ring_{&ring_, &ring_, 0} {}

HtmlTree::~HtmlTree() {
  // Not gumbo_destroy_output: it recurses into the tree.
  for (Block* block = ring_.next; block != &ring_;) {
    Block* next = block->next;
    std::free(block);
    block = next;
  }
}

void* HtmlTree::Allocate(void* tree_pointer, size_t bytes) {
  auto* tree = static_cast<HtmlTree*>(tree_pointer);
  const size_t total = bytes + sizeof(Block);
  Block* block =
      tree->used_bytes_ + total > kMaxHtmlTreeBytes ? nullptr : static_cast<Block*>(std::malloc(total));
  // Gumbo, being C, does not check for null, and has nothing to unwind.
  if (block == nullptr) std::longjmp(tree->out_of_budget_, 1);
  tree->used_bytes_ += total;
  *block = {tree->ring_.previous, &tree->ring_, total};
  block->previous->next = block;
  tree->ring_.previous = block;
  return block + 1;
}

void HtmlTree::Free(void* tree_pointer, void* memory) {
  if (memory == nullptr) return;
  auto* tree = static_cast<HtmlTree*>(tree_pointer);
  Block* block = static_cast<Block*>(memory) - 1;
  block->previous->next = block->next;
  block->next->previous = block->previous;
  tree->used_bytes_ -= block->bytes;
  std::free(block);
}

bool HtmlTree::ParseWithinBudget(absl::string_view html) {
  if (setjmp(out_of_budget_) != 0) return false;
  GumboOptions options = kGumboDefaultOptions;
  options.allocator = &HtmlTree::Allocate;
  options.deallocator = &HtmlTree::Free;
  options.userdata = this;
  options.max_errors = 0;
  output_ = gumbo_parse_with_options(&options, html.data(), html.size());
  return true;
}

absl::StatusOr<std::unique_ptr<HtmlTree>> HtmlTree::Parse(absl::string_view html) {
  if (HtmlDepth(html) > kMaxHtmlDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("HTML: expected at most ", kMaxHtmlDepth, " elements open at once, found more"));
  }
  std::unique_ptr<HtmlTree> tree(new HtmlTree);
  if (!tree->ParseWithinBudget(html)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("HTML: its tree needs more than ", kMaxHtmlTreeBytes >> 20, " MiB"));
  }
  return tree;
}

}  // namespace larder::tools
