#include "engine/embed/bert_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace larder {
namespace {

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  ForEachBertWord(text, [&words](absl::string_view word) {
    words.emplace_back(word);
    return true;
  });
  return words;
}

TEST(BertWords, Splits) {
  struct Case {
    std::string text;
    std::vector<std::string> words;
  } cases[] = {
      {"", {}},
      {" \t\r\n", {}},
      {"Hello, World", {"hello", ",", "world"}},
      {"don't a_b $5.00", {"don", "'", "t", "a", "_", "b", "$", "5", ".", "00"}},
      {"a\x01"
       "b\x7f",
       {"ab"}},
      {std::string("a\0b", 3), {"ab"}},
      {"Héllo ÀÉÎ", {"hello", "aei"}},
      {"e\u0301t", {"et"}},  // a combining accent after its letter
      {"İstanbul Straße", {"istanbul", "straße"}},
      {"ΣΟΦΟΣ Привет", {"σοφοσ", "привет"}},
      {"\u212A\uFB01", {"k\uFB01"}},  // the Kelvin sign decomposes, the ligature does not
      {"北京ab日", {"北", "京", "ab", "日"}},
      {"\uF900\u4E00", {"\u8C48", "一"}},  // a compatibility ideograph
      {"カタ", {"カタ"}},                  // kana are no ideographs
      {"가", {"\u1100\u1161"}},            // Hangul comes apart into Jamo
      {"a\u3002b\u2014c\u00BFd", {"a", "\u3002", "b", "\u2014", "c", "\u00BF", "d"}},
      {"a\u037Eb", {"a", ";", "b"}},  // the Greek question mark decomposes to a semicolon
      {"a\u00A0b\u3000c\u2028d", {"a", "b", "c", "d"}},
      {"a\u200Bb\u00ADc\u0085d\uFEFFe", {"abcde"}},
      {"a\uE000b", {"ab"}},
      {"x\u20ACy \u2192 \U0001F600", {"x\u20ACy", "\u2192", "\U0001F600"}},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

TEST(BertWords, DropsWhatIsNotUtf8) {
  for (const char* text : {"a\xff"
                           "b",
                           "a\xc3"
                           "b",
                           "a\xe2\x82"
                           "b",
                           "a\xc0\x80"
                           "b",
                           "a\xed\xa0\x80"
                           "b",
                           "a\xf4\x90\x80\x80"
                           "b",
                           "ab\xf0\x9f\x98",
                           "a\uFFFD"
                           "b"}) {
    EXPECT_EQ(Words(text), std::vector<std::string>{"ab"}) << text;
  }
}

TEST(BertWords, StopsWhenTold) {
  std::vector<std::string> words;
  ForEachBertWord("a b.c d", [&words](absl::string_view word) {
    words.emplace_back(word);
    return words.size() < 2;
  });
  EXPECT_THAT(words, ::testing::ElementsAre("a", "b"));
}

TEST(ApproximateTokens, GrowsWithTheText) {
  EXPECT_EQ(ApproximateTokens(""), 0);
  EXPECT_EQ(ApproximateTokens("one"), 2);
  EXPECT_EQ(ApproximateTokens("one two three four five six seven eight nine ten"), 13);
  EXPECT_EQ(ApproximateTokens(std::string(1200, 'x')), 130);
  const std::string text = "Grüße, aus München! 北京 0123456789abcdef0123456789abcdef";
  uint32_t last = 0;
  for (size_t n = 0; n <= text.size(); ++n) {
    const uint32_t tokens = ApproximateTokens(absl::string_view(text).substr(0, n));
    EXPECT_GE(tokens, last) << n;
    last = tokens;
  }
}

}  // namespace
}  // namespace larder
