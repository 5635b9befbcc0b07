#include "engine/utf8.h"

#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using namespace std::string_literals;  // NOLINT

TEST(ValidUtf8Prefix, FindsTheFirstWrongByte) {
  struct Case {
    std::string text;
    size_t prefix;
  } cases[] = {
      {"", 0},
      {"plain ascii that is longer than a word", 38},
      {"é語😀", 9},
      {"\0nul"s, 4},
      {"abc\x80", 3},          // a tail without a lead
      {"abcdefghij\xC3", 10},  // cut short
      {"a\xE8\xAA", 1},        // cut short
      {"a\xF0\x9F\x98", 1},    // cut short
      {"\xC0\xAF", 0},         // overlong in two
      {"\xC1\xBF", 0},
      {"\xE0\x9F\xBF", 0},  // overlong in three
      {"\xE0\xA0\x80", 3},
      {"\xF0\x8F\xBF\xBF", 0},  // overlong in four
      {"\xF0\x90\x80\x80", 4},
      {"\xED\xA0\x80", 0},  // a surrogate
      {"\xED\x9F\xBF", 3},
      {"\xEE\x80\x80", 3},
      {"\xF4\x8F\xBF\xBF", 4},
      {"\xF4\x90\x80\x80", 0},  // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},
      {"\xFF", 0},
      {"\xF8\x88\x80\x80\x80", 0},  // five bytes
      {"\xE8\x41\x80", 0},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ValidUtf8Prefix(c.text), c.prefix) << QuoteForMessage(c.text);
    // The same behind and before text that is scanned in words.
    std::string longer = "0123456789" + c.text;
    EXPECT_EQ(ValidUtf8Prefix(longer), 10 + c.prefix) << QuoteForMessage(c.text);
    if (c.prefix == c.text.size()) {
      EXPECT_TRUE(IsUtf8(c.text + "0123456789")) << QuoteForMessage(c.text);
    }
  }
}

TEST(ToValidUtf8, ReplacesOnlyBadBytes) {
  EXPECT_EQ(ToValidUtf8(""), "");
  EXPECT_EQ(ToValidUtf8("é語😀 fine"), "é語😀 fine");
  EXPECT_EQ(ToValidUtf8("a\xFF\xC3\xA9\xE2\x82z"), "a\uFFFDé\uFFFD\uFFFDz");
  EXPECT_EQ(ToValidUtf8("\xF0\x9F\x98"), "\uFFFD\uFFFD\uFFFD");
}

TEST(AppendUtf8, WritesWhatTheValidatorAccepts) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    AppendUtf8(c, &text);
    ASSERT_TRUE(IsUtf8(text)) << c;
    ASSERT_EQ(text.size(), c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u) << c;
  }
  std::string text;
  AppendUtf8(0x1F600, &text);
  EXPECT_EQ(text, "😀");
}

TEST(QuoteForMessage, CutsAndEscapes) {
  EXPECT_EQ(QuoteForMessage("abc"), "\"abc\"");
  EXPECT_EQ(QuoteForMessage("a\x1b\xff"), "\"a\\x1b\\xff\"");
  EXPECT_EQ(QuoteForMessage("ééé", 3), "\"éé...\"");
  EXPECT_EQ(QuoteForMessage(std::string(100, 'x'), 5), "\"xxxxx...\"");
}

}  // namespace
}  // namespace larder
