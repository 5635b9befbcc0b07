#include "engine/headings.h"

#include <string>

#include "gtest/gtest.h"

namespace larder {
namespace {

TEST(AtxHeading, FollowsCommonMark) {
  struct Case {
    const char* line;
    uint32_t level;  // 0 = no heading
    const char* title;
  } cases[] = {
      {"# Title", 1, "Title"},
      {"###### Six", 6, "Six"},
      {"####### Seven", 0, ""},
      {"   ## Indented", 2, "Indented"},
      {"    ## Code", 0, ""},
      {"#hashtag", 0, ""},
      {"##", 2, ""},
      {"## ##", 2, ""},
      {"## Closed ##", 2, "Closed"},
      {"## Closed ##  ", 2, "Closed"},
      {"# C#", 1, "C#"},
      {"#\tTab  and   spaces", 1, "Tab and spaces"},
      {"\\# Escaped", 0, ""},
      {"", 0, ""},
  };
  for (const Case& c : cases) {
    auto heading = AtxHeading(c.line);
    ASSERT_EQ(heading.has_value(), c.level > 0) << c.line;
    if (!heading) continue;
    EXPECT_EQ(heading->level, c.level) << c.line;
    EXPECT_EQ(heading->title, c.title) << c.line;
  }
}

TEST(AtxHeading, CutsLongTitlesBetweenCodePoints) {
  std::string title;
  while (title.size() < 1000) title += "語";
  auto heading = AtxHeading("# " + title);
  ASSERT_TRUE(heading);
  EXPECT_EQ(heading->title, title.substr(0, kMaxTitleBytes / 3 * 3));
}

TEST(UnderlineLevel, KnowsBothMarks) {
  EXPECT_EQ(UnderlineLevel("==="), 1u);
  EXPECT_EQ(UnderlineLevel("-"), 2u);
  EXPECT_EQ(UnderlineLevel("  ----  "), 2u);
  for (const char* line : {"", "    ---", "=-=", "- -", "--- a", "~~~"}) {
    EXPECT_EQ(UnderlineLevel(line), 0u) << line;
  }
}

TEST(IsUnderlined, WantsALineOfLikeLength) {
  EXPECT_TRUE(IsUnderlined("Title", "====="));
  EXPECT_TRUE(IsUnderlined("Überschrift", "-----------"));
  EXPECT_FALSE(IsUnderlined("A paragraph that a short rule follows by chance", "---"));
  EXPECT_FALSE(IsUnderlined("Ti", "=="));
  EXPECT_FALSE(IsUnderlined("", "===="));
  EXPECT_FALSE(IsUnderlined("----", "----"));
}

TEST(PlainHeading, ReadsManPagesAndNumbers) {
  struct Case {
    const char* line;
    const char* next;  // nullptr = end of text
    uint32_t level;    // 0 = no heading
  } cases[] = {
      {"NAME", "       ls - list directory contents", 1},
      {"SEE ALSO", "\tcp(1)", 1},
      {"EXIT STATUS", "", 1},
      {"RETURN VALUE", nullptr, 1},
      {"ÜBERSICHT", "  Text", 1},
      {"ALL OF THIS TEXT IS IN CAPITALS", "AND GOES ON", 0},
      {"STOP.", "", 0},
      {"  NAME", "", 0},
      {"X", "", 0},
      {"12345", "", 0},
      {"LS(1)                 LS(1)", "", 0},
      {"Name", "       text", 0},
      {"1.2 Title", "", 2},
      {"1. Introduction", "", 1},
      {"3  Results", nullptr, 1},
      {"2.1 SCOPE", "", 2},
      {"1.2.3.4.5.6 Deep", "", 6},
      {"1.2.3.4.5.6.7 Too deep", "", 0},
      {"1.2 Title", "that goes on", 0},
      {"1.2 title", "", 0},
      {"1984 Was a year", "", 0},
      {"3 Apples were eaten.", "", 0},
      {"1.2Title", "", 0},
      {"2", "", 0},
  };
  for (const Case& c : cases) {
    auto next = c.next == nullptr ? std::optional<absl::string_view>() : absl::string_view(c.next);
    auto heading = PlainHeading(c.line, next);
    EXPECT_EQ(heading ? heading->level : 0, c.level) << c.line;
    if (heading) {
      EXPECT_EQ(heading->title, MakeHeading(1, c.line).title);
    }
  }
}

TEST(SectionPath, LeavesSectionsOfTheSameAndDeeperLevels) {
  SectionPath path;
  EXPECT_EQ(path.ToString(), "");
  EXPECT_EQ(path.level(), 0u);
  path.Enter({1, "Guide"});
  path.Enter({3, "Install"});
  EXPECT_EQ(path.ToString(), "Guide > Install");
  EXPECT_EQ(path.level(), 3u);
  path.Enter({2, "Use"});
  EXPECT_EQ(path.ToString(), "Guide > Use");
  path.Enter({2, ""});
  EXPECT_EQ(path.ToString(), "Guide");
  EXPECT_EQ(path.level(), 2u);
  path.Enter({1, "Index"});
  EXPECT_EQ(path.ToString(), "Index");
}

}  // namespace
}  // namespace larder
