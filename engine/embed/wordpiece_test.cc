#include "engine/embed/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "absl/strings/str_join.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char* const kPieces[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un",  "##aff", "##able",
                               "##a",   "a",     ",",     "北",    "##é", "want",  "##want"};

WordPiece Tokenizer() {
  auto tokenizer = WordPiece::FromVocabulary(absl::StrJoin(kPieces, "\n") + "\n");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

TEST(WordPiece, EncodesTheLongestPiecesFirst) {
  const WordPiece tokenizer = Tokenizer();
  struct Case {
    std::string text;
    std::vector<int32_t> ids;
    uint32_t count;
  } cases[] = {
      {"", {2, 3}, 0},
      {"unaffable", {2, 4, 5, 6, 3}, 3},
      {"UNAFFABLE, a北", {2, 4, 5, 6, 9, 8, 10, 3}, 6},
      {"wantwant", {2, 12, 13, 3}, 2},
      {"unaff unaffx", {2, 4, 5, 1, 3}, 5},  // the x cannot be spelt: one [UNK], counted as 3
      {"zzz", {2, 1, 3}, 3},
      {"#", {2, 1, 3}, 1},
      {"##aff", {2, 1, 1, 1, 3}, 5},
      {"[SEP]", {2, 1, 1, 1, 3}, 5},  // not the token
  };
  for (const Case& c : cases) {
    EXPECT_EQ(tokenizer.Encode(c.text, 256), c.ids) << c.text;
    EXPECT_EQ(tokenizer.CountTokens(c.text), c.count) << c.text;
  }
}

TEST(WordPiece, CutsAtTheLimit) {
  const WordPiece tokenizer = Tokenizer();
  EXPECT_THAT(tokenizer.Encode("unaffable a", 6), ElementsAre(2, 4, 5, 6, 8, 3));
  EXPECT_THAT(tokenizer.Encode("unaffable a", 5), ElementsAre(2, 4, 5, 6, 3));
  EXPECT_THAT(tokenizer.Encode("unaffable a", 4), ElementsAre(2, 4, 5, 3));
  EXPECT_THAT(tokenizer.Encode("unaffable a", 2), ElementsAre(2, 3));
}

TEST(WordPiece, LongWordsAreUnknownByCharactersNotBytes) {
  const WordPiece tokenizer = Tokenizer();
  EXPECT_EQ(tokenizer.Encode(std::string(100, 'a'), 256).size(), 102);
  EXPECT_THAT(tokenizer.Encode(std::string(101, 'a'), 256), ElementsAre(2, 1, 3));
  EXPECT_EQ(tokenizer.CountTokens(std::string(101, 'a')), 101);
  EXPECT_EQ(tokenizer.CountTokens(std::string(1 << 20, 'a')), 1 << 20);
  std::string wide = "a";  // 34 characters, 100 bytes: the accents are dropped, the letters stay
  for (int i = 0; i < 33; ++i) wide += "カ";
  EXPECT_THAT(tokenizer.Encode(wide, 256), ElementsAre(2, 1, 3));
}

TEST(WordPiece, RefusesBadVocabularies) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "line 1 is empty"},
      {"[PAD]\n\n[UNK]", "line 2 is empty"},
      {"[PAD]\n[PAD]", "line 2 repeats the piece [PAD]"},
      {"[PAD]\n[CLS]\n[SEP]", "no [UNK]"},
  };
  for (const auto& [vocabulary, message] : cases) {
    const auto tokenizer = WordPiece::FromVocabulary(vocabulary);
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(tokenizer.status().message(), HasSubstr(message));
  }
}

TEST(WordPiece, WithoutContinuationsEveryLongerWordIsUnknown) {
  auto tokenizer = WordPiece::FromVocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\na");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT(tokenizer->Encode("a aa", 9), ElementsAre(2, 4, 1, 3));
  EXPECT_EQ(tokenizer->CountTokens("a aa"), 3);
}

// The trie against a plain map, on keys that share prefixes and use every byte.
TEST(PieceTrie, FindsWhatAMapFinds) {
  std::mt19937 random(7);
  std::map<std::string, int32_t> map;
  for (int32_t i = 0; i < 20000; ++i) {
    std::string key;
    for (size_t n = 1 + random() % 6; n > 0; --n) {
      key.push_back(static_cast<char>(random() % 4 ? 'a' + random() % 4 : random() % 256));
    }
    map.emplace(key, i);
  }
  const PieceTrie trie({map.begin(), map.end()});
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 9; n > 0; --n) {
      text.push_back(static_cast<char>(random() % 5 ? 'a' + random() % 4 : random() % 256));
    }
    PieceTrie::Match expected;
    for (size_t n = 1; n <= text.size(); ++n) {
      const auto it = map.find(text.substr(0, n));
      if (it != map.end()) expected = {it->second, n};
    }
    const PieceTrie::Match found = trie.Longest(PieceTrie::kRoot, text);
    EXPECT_EQ(found.value, expected.value);
    EXPECT_EQ(found.length, expected.length);
  }
}

TEST(PieceTrie, Empty) {
  const PieceTrie trie({{"", 1}});
  EXPECT_EQ(trie.Longest(PieceTrie::kRoot, "abc").value, -1);
  EXPECT_EQ(trie.Walk("a"), PieceTrie::kNone);
  EXPECT_EQ(trie.Walk(""), PieceTrie::kRoot);
}

}  // namespace
}  // namespace larder
