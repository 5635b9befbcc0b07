#include "engine/chunker.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ChunkingOptions Options(uint32_t max_tokens, uint32_t overlap_tokens) {
  ChunkingOptions options;
  options.max_tokens = max_tokens;
  options.overlap_tokens = overlap_tokens;
  return options;
}

std::vector<CutChunk> Cut(absl::string_view text, const ChunkingOptions& options,
                          absl::string_view media_type = "text/plain") {
  auto chunks = CutText(text, media_type, options, CountWords);
  EXPECT_TRUE(chunks.ok()) << chunks.status();
  return chunks.ok() ? *std::move(chunks) : std::vector<CutChunk>();
}

// "section|text" of each chunk.
std::vector<std::string> Texts(absl::string_view text, const ChunkingOptions& options,
                               absl::string_view media_type = "text/plain") {
  std::vector<std::string> texts;
  for (const CutChunk& chunk : Cut(text, options, media_type)) {
    texts.push_back(
        absl::StrCat(chunk.section, "|", text.substr(chunk.span.begin, chunk.span.end - chunk.span.begin)));
  }
  return texts;
}

TEST(CutText, KeepsAShortTextWhole) {
  auto chunks = Cut("  One sentence. And another.\n", Options(8, 0));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].span, (ByteSpan{2, 28}));
  EXPECT_EQ(chunks[0].token_count, 4u);
  EXPECT_EQ(chunks[0].section, "");
}

TEST(CutText, GivesNothingForBlankText) {
  EXPECT_THAT(Cut("", Options(8, 0)), IsEmpty());
  EXPECT_THAT(Cut(" \n\t \r\n", Options(8, 0)), IsEmpty());
}

TEST(CutText, CutsBetweenSentencesAcrossLineEnds) {
  EXPECT_THAT(Texts("One two three\nfour five. Six seven\neight nine ten. Eleven.", Options(8, 0)),
              ElementsAre("|One two three\nfour five.", "|Six seven\neight nine ten. Eleven."));
}

TEST(CutText, OverlapsByWholeSentences) {
  EXPECT_THAT(Texts("A b c. D e f. G h. I j k. L m n. O p.", Options(8, 3)),
              ElementsAre("|A b c. D e f. G h.", "|G h. I j k. L m n.", "|L m n. O p."));
}

TEST(CutText, PrefersParagraphsToSentences) {
  EXPECT_THAT(Texts("A b c d. E f.\n\nG h i. J k l. M n.", Options(8, 0)),
              ElementsAre("|A b c d. E f.", "|G h i. J k l. M n."));
}

TEST(CutText, PrefersListItemsToSentences) {
  EXPECT_THAT(Texts("- A b. C d e.\n- F g. H i. J k.\n", Options(8, 0), "text/markdown"),
              ElementsAre("|- A b. C d e.", "|- F g. H i. J k."));
}

TEST(CutText, KeepsCodeTogetherWhereItCan) {
  EXPECT_THAT(Texts("Intro one. Two.\n\n```\na b c\nd e f\n```\n", Options(8, 0), "text/markdown"),
              ElementsAre("|Intro one. Two.", "|```\na b c\nd e f\n```"));
  EXPECT_THAT(Texts("```\na b c\nd e f\ng h i\n```\n", Options(8, 0), "text/markdown"),
              ElementsAre("|```\na b c\nd e f", "|g h i\n```"));
}

TEST(CutText, NamesSections) {
  EXPECT_THAT(
      Texts("# Guide\n\nText of guide that is long enough.\n\n## Install\n\nRun it.\n\n# Index\n\nNone.",
            Options(8, 0), "text/markdown"),
      ElementsAre("Guide|# Guide\n\nText of guide that is long enough.",
                  "Guide > Install|## Install\n\nRun it.", "Index|# Index\n\nNone."));
  EXPECT_THAT(Texts("NAME\n       ls - list\n\nSEE ALSO\n       cp\n", Options(8, 0)),
              ElementsAre("NAME|NAME\n       ls - list", "SEE ALSO|SEE ALSO\n       cp"));
}

TEST(CutText, JoinsABareHeadingToItsFirstSubsection) {
  EXPECT_THAT(
      Texts("# Guide\n\n## Install\n\nRun it.\n\n## Use\n\nUse it.", Options(8, 0), "text/markdown"),
      ElementsAre("Guide > Install|# Guide\n\n## Install\n\nRun it.", "Guide > Use|## Use\n\nUse it."));
}

TEST(CutText, NeverCrossesAHeadingOfTheSameLevel) {
  EXPECT_THAT(Texts("# A\n# B\n# C\n", Options(8, 3), "text/markdown"),
              ElementsAre("A|# A", "B|# B", "C|# C"));
}

TEST(CutText, OverlapStaysInItsSection) {
  EXPECT_THAT(Texts("# A\nB c. D e. F g. H i. J k.\n# L\nM n.", Options(8, 3), "text/markdown"),
              ElementsAre("A|# A\nB c. D e. F g.", "A|F g. H i. J k.", "L|# L\nM n."));
}

TEST(CutText, CutsALongSentenceBetweenWords) {
  auto texts =
      Texts("one two three four five six seven eight nine ten eleven twelve thirteen", Options(8, 0));
  ASSERT_GE(texts.size(), 2u);
  for (const std::string& text : texts) {
    for (absl::string_view word : absl::StrSplit(absl::string_view(text).substr(1), ' ')) {
      EXPECT_THAT("one two three four five six seven eight nine ten eleven twelve thirteen",
                  HasSubstr(std::string(word)));
    }
  }
}

TEST(CutText, CutsALongWordBetweenCodePoints) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "é";
  auto bytes = [](absl::string_view piece) { return static_cast<uint32_t>(piece.size()); };
  auto chunks = CutText(text, "text/plain", Options(9, 0), bytes);
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  for (const CutChunk& chunk : *chunks) {
    EXPECT_EQ(chunk.span.begin % 2, 0u);
    EXPECT_LE(chunk.token_count, 9u);
  }
}

TEST(CutText, BoundsChunksThatATokenizerCallsUnknown) {
  auto one = [](absl::string_view) { return 1u; };
  auto chunks = CutText(std::string(1 << 20, 'x'), "text/plain", Options(100, 0), one);
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  for (const CutChunk& chunk : *chunks) EXPECT_LE(chunk.span.end - chunk.span.begin, 3200u);
}

TEST(CutText, RefusesACounterThatLetsNothingFit) {
  auto many = [](absl::string_view) { return 1000u; };
  auto chunks = CutText("abc", "text/plain", Options(100, 0), many);
  EXPECT_EQ(chunks.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(chunks.status().message()), HasSubstr("byte 0"));
}

TEST(CutText, RefusesBadOptions) {
  for (auto [max, overlap] : {std::pair(7, 0), std::pair(8193, 0), std::pair(8, 4), std::pair(100, 50)}) {
    EXPECT_EQ(CutText("x", "text/plain", Options(max, overlap), CountWords).status().code(),
              absl::StatusCode::kInvalidArgument)
        << max << " " << overlap;
  }
}

}  // namespace
}  // namespace larder
