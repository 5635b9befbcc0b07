// An HTML page as Gumbo's tree, within bounds: Gumbo alone takes time in the square of the nesting, any
// amount of memory, and stack in the nesting to free the tree.
#ifndef LARDER_TOOLS_READERS_HTML_TREE_H_
#define LARDER_TOOLS_READERS_HTML_TREE_H_

#include <gumbo.h>

#include <csetjmp>
#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::tools {

inline constexpr size_t kMaxHtmlDepth = 512;  // elements open at once
inline constexpr size_t kMaxHtmlTreeBytes = size_t{256} << 20;

// Thread-compatible. Points into the page, which must outlive it.
class HtmlTree {
 public:
  // InvalidArgument if the page nests deeper than kMaxHtmlDepth, ResourceExhausted if its tree needs
  // more than kMaxHtmlTreeBytes.
  static absl::StatusOr<std::unique_ptr<HtmlTree>> Parse(absl::string_view html);
  ~HtmlTree();
  HtmlTree(const HtmlTree&) = delete;
  HtmlTree& operator=(const HtmlTree&) = delete;

  const GumboNode* root() const { return output_->root; }  // <html>

 private:
  // In front of every block that Gumbo asks for; a ring through all that are in use.
  struct alignas(std::max_align_t) Block {
    Block* previous;
    Block* next;
    size_t bytes;
  };

  HtmlTree();
  static void* Allocate(void* tree, size_t bytes);
  static void Free(void* tree, void* memory);
  bool ParseWithinBudget(absl::string_view html);

  Block ring_;
  size_t used_bytes_ = 0;
  std::jmp_buf out_of_budget_;
  GumboOutput* output_ = nullptr;
};

// The largest number of elements that the page's tags leave open at once, those that end by
// themselves (void elements, <p>, <li>, ...) not counted.
size_t HtmlDepth(absl::string_view html);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_HTML_TREE_H_
