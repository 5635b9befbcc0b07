#include "tools/cli/text_layout.h"

#include <gtest/gtest.h>

namespace larder::tools {
namespace {

TEST(Wrap, BreaksBetweenWordsWithinTheWidth) {
  EXPECT_EQ(Wrap("carrots keep for months in damp sand", 25, 2),
            "  carrots keep for months\n  in damp sand\n");
  EXPECT_EQ(Wrap("", 25, 2), "");
  EXPECT_EQ(Wrap("  a\n\n b\t", 25, 0), "a b\n");
}

TEST(Wrap, LetsALongWordStandAlone) {
  EXPECT_EQ(Wrap("see https://example.org/a/very/long/path now", 22, 0),
            "see\nhttps://example.org/a/very/long/path\nnow\n");
}

TEST(Wrap, CountsCodePointsNotBytes) {
  EXPECT_EQ(Wrap("ääää ääää ääää ääää ääää", 24, 0), "ääää ääää ääää ääää ääää\n");
}

TEST(Wrap, ReplacesControlCharacters) { EXPECT_EQ(Wrap("a\x1b[31mb\x7f", 40, 0), "a [31mb\n"); }

TEST(WrapLines, MarksWhatItLeavesOut) {
  EXPECT_EQ(WrapLines("one two three four five six seven", 20, 0, 1), "one two three four …\n");
  EXPECT_EQ(WrapLines("one two three", 20, 0, 1), "one two three\n");
  EXPECT_EQ(WrapLines("one two three four fives six", 20, 0, 1), "one two three four …\n");
}

TEST(Printable, KeepsOneLine) { EXPECT_EQ(Printable("a\nb\tc"), "a b c"); }

TEST(Numbers, AreReadable) {
  EXPECT_EQ(Thousands(0), "0");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(Thousands(1000), "1,000");
  EXPECT_EQ(Thousands(1234567), "1,234,567");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(20ull << 20), "20.0 MiB");
  EXPECT_EQ(HumanBytes(~0ull), "16.0 EiB");
  EXPECT_EQ(HumanMicros(12.4), "12 µs");
  EXPECT_EQ(HumanMicros(3412), "3.4 ms");
  EXPECT_EQ(HumanMicros(1.2e6), "1.20 s");
  EXPECT_EQ(UtcTime(1714564800000), "2024-05-01 12:00:00 UTC");
}

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({"name", "chunks"});
  table.Add({"docs", "4,212"});
  table.Add({"späße", "7"});
  EXPECT_EQ(table.ToString(),
            "name   chunks\n"
            "docs    4,212\n"
            "späße       7\n");
}

TEST(Table, PrintsAHeadingAlone) { EXPECT_EQ(Table({"name", "chunks"}).ToString(), "name  chunks\n"); }

}  // namespace
}  // namespace larder::tools
