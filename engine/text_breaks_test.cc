#include "engine/text_breaks.h"

#include <string>
#include <thread>
#include <vector>

#include "engine/chunker.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Pieces(absl::string_view text, BreakKind kind) {
  std::vector<std::string> pieces;
  EXPECT_TRUE(ForEachPiece(text, kind, [&](size_t b, size_t e, bool) {
                pieces.emplace_back(text.substr(b, e - b));
              }).ok());
  return pieces;
}

TEST(ForEachPiece, FindsSentencesByByteOffset) {
  EXPECT_THAT(Pieces("Größe zählt. Is it 3.5 m? Ja!", BreakKind::kSentence),
              ElementsAre("Größe zählt. ", "Is it 3.5 m? ", "Ja!"));
  EXPECT_THAT(Pieces("今日は。明日も。", BreakKind::kSentence), ElementsAre("今日は。", "明日も。"));
}

TEST(ForEachPiece, KeepsClustersOfCodePointsTogether) {
  EXPECT_THAT(Pieces("a👨‍👩‍👧e\u0301\r\n", BreakKind::kGrapheme),
              ElementsAre("a", "👨‍👩‍👧", "e\u0301", "\r\n"));
}

TEST(ForEachPiece, CoversTextsLongerThanItsWindow) {
  for (const char* unit : {"word ", "語", "x"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    size_t expected_begin = 0;
    ASSERT_TRUE(ForEachPiece(text, BreakKind::kWord, [&](size_t begin, size_t end, bool) {
                  ASSERT_EQ(begin, expected_begin);
                  ASSERT_LT(begin, end);
                  ASSERT_EQ(CodePointFloor(text, end), end);
                  expected_begin = end;
                }).ok());
    EXPECT_EQ(expected_begin, text.size());
  }
}

TEST(ForEachPiece, GivesNothingForNothing) { EXPECT_THAT(Pieces("", BreakKind::kWord), ElementsAre()); }

TEST(ForEachPiece, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::vector<uint32_t> counts(4);
  for (uint32_t& count : counts) {
    threads.emplace_back([&count] {
      for (int i = 0; i < 100; ++i) count += CountWords("one two, three. Four!");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(counts, ElementsAre(400, 400, 400, 400));
}

TEST(CountWords, CountsWhatHoldsLettersOrDigits) {
  struct Case {
    const char* text;
    uint32_t words;
  } cases[] = {
      {"", 0},    {" \n ... -- !", 0}, {"don't stop", 2},     {"3.14 and 1,000", 3},
      {"a-b", 2}, {"naïve café", 2},   {"Straße\r\nname", 2},
  };
  for (const Case& c : cases) EXPECT_EQ(CountWords(c.text), c.words) << c.text;
  EXPECT_GE(CountWords("今日は良い天気です"), 3u);
}

TEST(CodePointFloor, NeverSplitsACodePoint) {
  const std::string text = "aé語😀";  // begins at 0, 1, 3, 6; ends at 10
  size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(CodePointFloor(text, i), expected[i]) << i;
}

TEST(TrimRange, StopsAtNonSpace) {
  const std::string text = " \t a b\r\n";
  size_t begin = 0, end = text.size();
  TrimRange(text, &begin, &end);
  EXPECT_EQ(text.substr(begin, end - begin), "a b");
  begin = 0, end = 2;
  TrimRange(text, &begin, &end);
  EXPECT_EQ(begin, end);
}

}  // namespace
}  // namespace larder
