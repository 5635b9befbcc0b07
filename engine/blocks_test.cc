#include "engine/blocks.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

// "H2 Title", "P text", "L text", "C text".
std::vector<std::string> Scan(absl::string_view text, bool markdown) {
  std::vector<std::string> found;
  BlockScanner scanner(text, markdown);
  size_t last_end = 0;
  for (Block block; scanner.Next(&block);) {
    EXPECT_GE(block.begin, last_end);
    EXPECT_LT(block.begin, block.end);
    last_end = block.end;
    absl::string_view view = text.substr(block.begin, block.end - block.begin);
    switch (block.kind) {
      case BlockKind::kHeading:
        found.push_back(absl::StrCat("H", block.heading.level, " ", block.heading.title));
        break;
      case BlockKind::kParagraph:
        found.push_back(absl::StrCat("P ", view));
        break;
      case BlockKind::kListItem:
        found.push_back(absl::StrCat("L ", view));
        break;
      case BlockKind::kCode:
        found.push_back(absl::StrCat("C ", view));
        break;
    }
  }
  return found;
}
std::vector<std::string> Markdown(absl::string_view text) { return Scan(text, true); }
std::vector<std::string> Plain(absl::string_view text) { return Scan(text, false); }

TEST(LineAt, KnowsEveryLineEnd) {
  const std::string text = "a\nb\r\nc\rd";
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size(); at = LineAt(text, at).next) {
    TextLine line = LineAt(text, at);
    lines.push_back(text.substr(line.begin, line.end - line.begin));
  }
  EXPECT_THAT(lines, ElementsAre("a", "b", "c", "d"));
}

TEST(BlockScanner, ReadsMarkdownBlocks) {
  EXPECT_THAT(Markdown("# A\ntext\nmore\n\n- one\n- two\n  goes on\n1. three\n\nlast"),
              ElementsAre("H1 A", "P text\nmore", "L - one", "L - two\n  goes on", "L 1. three", "P last"));
}

TEST(BlockScanner, ReadsSetextHeadings) {
  EXPECT_THAT(Markdown("Title\n=====\n\nSub\ntitle\n---\ntext\n"),
              ElementsAre("H1 Title", "H2 Sub title", "P text"));
  EXPECT_THAT(Markdown("- item\n---\n"), ElementsAre("L - item\n---"));
  EXPECT_THAT(Markdown("a\nb\nc\nd\n---\n"), ElementsAre("P a\nb\nc\nd\n---"));
  EXPECT_THAT(Markdown("text\n\n---\n\nmore"), ElementsAre("P text", "P ---", "P more"));
}

TEST(BlockScanner, FindsNoHeadingsInFences) {
  EXPECT_THAT(Markdown("```sh\n# comment\n\n## not\n```\n# Yes"),
              ElementsAre("C ```sh\n# comment\n\n## not\n```", "H1 Yes"));
  EXPECT_THAT(Markdown("~~~~\n~~~\n# x\n~~~~~\ny"), ElementsAre("C ~~~~\n~~~\n# x\n~~~~~", "P y"));
  EXPECT_THAT(Markdown("```\n# open to the end\n\n\n"), ElementsAre("C ```\n# open to the end"));
  EXPECT_THAT(Markdown("text\n```\ncode\n```"), ElementsAre("P text", "C ```\ncode\n```"));
  EXPECT_THAT(Markdown("1. item\n    ```\n    # code\n    ```\n"),
              ElementsAre("L 1. item", "C     ```\n    # code\n    ```"));
  EXPECT_THAT(Markdown("``` a`b\n# H"), ElementsAre("P ``` a`b", "H1 H"));
}

TEST(BlockScanner, TakesFrontMatterForText) {
  EXPECT_THAT(Markdown("---\ntitle: x\ndate: y\n---\n# A"),
              ElementsAre("P ---\ntitle: x\ndate: y\n---", "H1 A"));
  EXPECT_THAT(Markdown("---\n\ntext"), ElementsAre("P ---", "P text"));
}

TEST(BlockScanner, ReadsManPages) {
  EXPECT_THAT(
      Plain("LS(1)    User Commands    LS(1)\n\nNAME\n       ls - list\n\nDESCRIPTION\n       Lists.\n"),
      ElementsAre("P LS(1)    User Commands    LS(1)", "H1 NAME", "P        ls - list", "H1 DESCRIPTION",
                  "P        Lists."));
}

TEST(BlockScanner, ReadsUnderlinedAndNumberedPlainHeadings) {
  EXPECT_THAT(Plain("Guide\r\n=====\r\n\r\nStart\r\n-----\r\ntext\r\n"),
              ElementsAre("H1 Guide", "H2 Start", "P text"));
  EXPECT_THAT(Plain("1 First\n\ntext\n\n1.1 Second\n\ntext"),
              ElementsAre("H1 1 First", "P text", "H2 1.1 Second", "P text"));
  EXPECT_THAT(Plain("# no markdown\n```\n"), ElementsAre("P # no markdown\n```"));
}

// As proc(5) is formatted: a table wider than its place begins at the margin.
TEST(BlockScanner, TakesNoRowOfATableForAPlainHeading) {
  const std::string table =
      "              For example on an x86-64 system:\n"
      "Node 0, zone     DMA     1    1    1    0    2    1    1    0    1    1    3\n"
      "Node 0, zone   DMA32    65   47    4   81   52   28   13   10    5    1  404";
  EXPECT_THAT(Plain("NOTES\n" + table + "\n\nSEE ALSO\n       ps(1)\n"),
              ElementsAre("H1 NOTES", "P " + table, "H1 SEE ALSO", "P        ps(1)"));
  EXPECT_THAT(Plain("text\n\nNODE     ZONE     DMA\n\ntext"),
              ElementsAre("P text", "P NODE     ZONE     DMA", "P text"));
}

TEST(BlockScanner, WantsABlankLineBeforePlainHeadings) {
  EXPECT_THAT(Plain("some text\nNAME\n   more"), ElementsAre("P some text\nNAME\n   more"));
  EXPECT_THAT(Plain("some text\n1. Item\n\nmore"), ElementsAre("P some text", "L 1. Item", "P more"));
}

TEST(BlockScanner, TakesARowOfNumberedTitlesForAList) {
  EXPECT_THAT(Plain("Steps:\n\n1. Install it\n\n2. Start it\n\n3. Use it\n\nThen rest."),
              ElementsAre("P Steps:", "L 1. Install it", "L 2. Start it", "L 3. Use it", "P Then rest."));
}

TEST(BlockScanner, FindsNothingInBlankText) {
  EXPECT_THAT(Markdown(" \n\t\n\r\n"), ElementsAre());
  EXPECT_THAT(Plain(""), ElementsAre());
}

}  // namespace
}  // namespace larder
