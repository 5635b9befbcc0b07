// Random texts, several ways of counting tokens: whatever the text, the promises of chunker.h hold.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/blocks.h"
#include "engine/chunker.h"
#include "engine/text_breaks.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

const absl::string_view kPieces[] = {"the ",
                                     "Carrots keep. ",
                                     "a",
                                     "B",
                                     ". ",
                                     "! ",
                                     "? ",
                                     "\n",
                                     "\n\n",
                                     "\r\n",
                                     "\r\n\r\n",
                                     "\r",
                                     "# Head\n",
                                     "## Sub\n",
                                     "### Deep\n",
                                     "#\n",
                                     "Title\n===\n",
                                     "Sub\n---\n",
                                     "```\n",
                                     "~~~\n",
                                     "- item ",
                                     "\n- ",
                                     "1. ",
                                     "\n\nNAME\n   ",
                                     "\n\n1.2 Title\n\n",
                                     "    ",
                                     "\t",
                                     "語",
                                     "今日は良い天気です。",
                                     "👨‍👩‍👧‍👦",
                                     "🇩🇪",
                                     "e\u0301",
                                     "\u0301",
                                     "\u200d",
                                     "\u00a0",
                                     "\u3000",
                                     "ไทยภาษา",
                                     "नमस्ते ",
                                     "العربية ",
                                     "---\n",
                                     "ß",
                                     "3.14 ",
                                     "...",
                                     "“quoted.” ",
                                     "Mr. X ",
                                     absl::string_view("\0", 1)};

std::string RandomText(std::mt19937_64& random) {
  std::string text;
  size_t pieces = random() % 400;
  // Few kinds at a time: all of them at once never make long words or long runs.
  size_t first = random() % std::size(kPieces), kinds = 1 + random() % std::size(kPieces);
  for (size_t i = 0; i < pieces; ++i) {
    absl::string_view piece = kPieces[(first + random() % kinds) % std::size(kPieces)];
    text.append(piece.data(), piece.size());
    if (random() % 200 == 0) text += std::string(random() % 3000, random() % 2 ? 'x' : ' ');
  }
  return text;
}

struct Counter {
  const char* name;
  bool additive;  // a whole counts no more than its parts, and white space nothing
  TokenCounter count;
};

std::vector<Counter> Counters() {
  return {
      {"words", true, CountWords},
      {"bytes", false, [](absl::string_view t) { return static_cast<uint32_t>(t.size()); }},
      {"quarters up", false, [](absl::string_view t) { return static_cast<uint32_t>((t.size() + 3) / 4); }},
      {"quarters down", false, [](absl::string_view t) { return static_cast<uint32_t>(t.size() / 4); }},
      {"words and two", true, [](absl::string_view t) { return CountWords(t) + 2; }},
  };
}

bool IsBoundary(const std::string& text, size_t offset) {
  return offset == text.size() || (text[offset] & 0xC0) != 0x80;
}

void CheckCoverage(const std::string& text, const std::vector<CutChunk>& chunks) {
  std::vector<bool> covered(text.size());
  for (const CutChunk& chunk : chunks) {
    std::fill(covered.begin() + chunk.span.begin, covered.begin() + chunk.span.end, true);
  }
  for (size_t i = 0; i < text.size(); ++i) {
    ASSERT_TRUE(covered[i] || IsAsciiSpace(text[i])) << "byte " << i << " is in no chunk";
  }
}

void CheckChunk(const std::string& text, const CutChunk& chunk, const Counter& counter, uint32_t max_tokens) {
  ASSERT_LT(chunk.span.begin, chunk.span.end);
  ASSERT_LE(chunk.span.end, text.size());
  ASSERT_TRUE(IsBoundary(text, chunk.span.begin) && IsBoundary(text, chunk.span.end));
  absl::string_view view =
      absl::string_view(text).substr(chunk.span.begin, chunk.span.end - chunk.span.begin);
  ASSERT_FALSE(IsAsciiSpace(view.front()) || IsAsciiSpace(view.back()));
  ASSERT_EQ(chunk.token_count, counter.count(view));
  ASSERT_LE(chunk.token_count, max_tokens);
}

void CheckOrder(const std::string& text, const std::vector<CutChunk>& chunks, const Counter& counter,
                uint32_t overlap_tokens) {
  for (size_t i = 1; i < chunks.size(); ++i) {
    const ByteSpan& last = chunks[i - 1].span;
    const ByteSpan& next = chunks[i].span;
    ASSERT_GT(next.begin, last.begin);
    ASSERT_GT(next.end, last.end);
    if (next.begin >= last.end || !counter.additive) continue;
    auto shared = absl::string_view(text).substr(next.begin, last.end - next.begin);
    ASSERT_LE(counter.count(shared), overlap_tokens);
  }
}

// Inside a chunk headings only go deeper, and none is repeated by overlap.
void CheckHeadings(const std::string& text, const std::vector<CutChunk>& chunks, bool markdown) {
  BlockScanner scanner(text, markdown);
  std::vector<Block> headings;
  for (Block block; scanner.Next(&block);) {
    if (block.kind == BlockKind::kHeading) headings.push_back(block);
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    uint32_t level = 0;
    for (const Block& heading : headings) {
      if (heading.begin < chunks[i].span.begin || heading.begin >= chunks[i].span.end) continue;
      ASSERT_GT(heading.heading.level, level) << "chunk " << i << " crosses the heading at " << heading.begin;
      level = heading.heading.level;
      ASSERT_TRUE(i == 0 || heading.begin >= chunks[i - 1].span.end);
    }
  }
}

TEST(CutTextProperty, HoldsForRandomTexts) {
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    std::string text = RandomText(random);
    ChunkingOptions options;
    options.max_tokens = 8 + random() % (random() % 2 ? 20 : 300);
    options.overlap_tokens = random() % ((options.max_tokens + 1) / 2);
    bool markdown = random() % 2;
    for (const Counter& counter : Counters()) {
      SCOPED_TRACE(counter.name);
      const char* type = markdown ? "text/markdown" : "text/plain";
      auto chunks = CutText(text, type, options, counter.count);
      ASSERT_TRUE(chunks.ok()) << chunks.status();
      for (const CutChunk& chunk : *chunks) {
        ASSERT_NO_FATAL_FAILURE(CheckChunk(text, chunk, counter, options.max_tokens));
      }
      ASSERT_NO_FATAL_FAILURE(CheckCoverage(text, *chunks));
      ASSERT_NO_FATAL_FAILURE(CheckOrder(text, *chunks, counter, options.overlap_tokens));
      ASSERT_NO_FATAL_FAILURE(CheckHeadings(text, *chunks, markdown));
      auto again = CutText(text, type, options, counter.count);
      ASSERT_TRUE(again.ok() && again->size() == chunks->size());
      for (size_t i = 0; i < chunks->size(); ++i) {
        ASSERT_TRUE((*again)[i].span == (*chunks)[i].span && (*again)[i].section == (*chunks)[i].section);
      }
    }
  }
}

TEST(CutTextProperty, SurvivesBytesThatAreNotUtf8) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    std::string text(random() % 2000, ' ');
    for (char& c : text) c = static_cast<char>(random());
    auto chunks = CutText(text, "text/markdown", {}, CountWords);
    ASSERT_TRUE(chunks.ok()) << "seed " << seed << ": " << chunks.status();
    ASSERT_NO_FATAL_FAILURE(CheckCoverage(text, *chunks));
  }
}

// The largest document there may be, in the shapes that tempt a chunker to go quadratic.
TEST(CutTextProperty, TakesTimeInProportionToTheText) {
  const char* const units[] = {"x",
                               "word ",
                               "語",
                               "Short. ",
                               "\n",
                               "a\n\n",
                               "# h\n",
                               "- a\n",
                               "```\n",
                               "a. 1 ",
                               "Larder keeps what a node would otherwise recompute, and says so.\n"};
  auto bytes = [](absl::string_view t) { return static_cast<uint32_t>((t.size() + 3) / 4); };
  for (const char* unit : units) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    absl::Time start = absl::Now();
    auto chunks = CutText(text, "text/markdown", {}, bytes);
    ASSERT_TRUE(chunks.ok()) << chunks.status();
    // About twenty times what it takes, so that a busy machine does not fail it.
    EXPECT_LT(absl::ToDoubleSeconds(absl::Now() - start), 8) << unit;
  }
}

}  // namespace
}  // namespace larder
