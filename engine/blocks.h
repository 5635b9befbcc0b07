// Reads a document as blocks: headings, paragraphs, list items, fenced code. Keeps no more than its
// place in the text.
#ifndef LARDER_ENGINE_BLOCKS_H_
#define LARDER_ENGINE_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "engine/headings.h"

namespace larder {

enum class BlockKind : uint8_t { kHeading, kParagraph, kListItem, kCode };

struct Block {
  size_t begin = 0;  // whole lines; first and last are not blank
  size_t end = 0;    // after the last line's text, before its line end
  BlockKind kind = BlockKind::kParagraph;
  Heading heading;  // of kHeading
};

// One line of a text: [begin, end) without its end, which is "\n", "\r\n" or "\r".
struct TextLine {
  size_t begin = 0;
  size_t end = 0;
  size_t next = 0;  // where the line after it begins
};
TextLine LineAt(absl::string_view text, size_t begin);

// Single-threaded; linear in the text, which must outlive it.
class BlockScanner {
 public:
  BlockScanner(absl::string_view text, bool markdown) : text_(text), markdown_(markdown) {}

  // The next block, in order. Blocks do not overlap, and leave out nothing but white space.
  bool Next(Block* block);

 private:
  struct Fence {
    char mark = 0;
    size_t length = 0;
  };

  absl::string_view View(const TextLine& line) const;
  bool IsBlank(const TextLine& line) const;
  // The text of the line that begins there; absent at the end.
  std::optional<absl::string_view> ViewAt(size_t begin) const;
  bool SkipBlankLines();

  bool ReadFrontMatter(Block* block);
  bool ReadFence(const TextLine& first, Block* block);
  bool ReadHeading(const TextLine& first, Block* block);
  bool ReadPlainHeading(const TextLine& first, Block* block);
  // Whether a numbered title is one of a row of them: a list then, and no heading.
  bool IsListOfTitles(const Heading& heading, const TextLine& line) const;
  void ReadParagraph(const TextLine& first, Block* block);
  std::optional<Fence> FenceAt(const TextLine& line) const;
  bool InterruptsParagraph(const TextLine& line) const;

  const absl::string_view text_;
  const bool markdown_;
  size_t pos_ = 0;
  bool after_blank_ = true;        // a blank line, a heading or nothing stands before
  bool in_list_ = false;           // indented lines belong to the item before
  uint32_t title_list_level_ = 0;  // the block before was one of a row of numbered titles
};

}  // namespace larder

#endif  // LARDER_ENGINE_BLOCKS_H_
