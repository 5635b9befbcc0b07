#include "tools/readers/html_text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/html_tree.h"

namespace larder::tools {
namespace {

using ::testing::HasSubstr;

std::string Markdown(absl::string_view html) {
  auto page = HtmlToMarkdown(html);
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? page->markdown : "";
}

TEST(HtmlToMarkdown, KeepsTheShapeOfThePage) {
  auto page = HtmlToMarkdown(R"(<!DOCTYPE html><html><head><title> A
      page </title><style>p { color: red }</style></head><body>
      <h1>Guide &amp; more</h1><p>First <b>bold</b>
      text.<script>alert("no")</script><p>Second.
      <h2>List <a href="x">here</a></h2><ul><li>one<li><p>two</p></ul>
      <pre><code>a  &lt; b
  c</code></pre>line<br>break<!-- comment --></body></html>)");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->title, "A page");
  EXPECT_EQ(page->markdown,
            "# Guide & more\n\nFirst bold text.\n\nSecond.\n\n## List here\n\n- one\n\n- two\n\n"
            "```\na  < b\n  c\n```\n\nline\nbreak");
}

TEST(HtmlToMarkdown, DecodesEntities) {
  EXPECT_EQ(Markdown("&eacute;&#233;&#xe9; &lt;b&gt; &hellip;"), "ééé <b> …");
}

TEST(HtmlToMarkdown, WritesTablesByRow) {
  EXPECT_EQ(Markdown("<table><tr><th>a<th>b<tr><td>1<td>2</table>after"), "a | b\n1 | 2\n\nafter");
}

TEST(HtmlToMarkdown, KeepsHeadingsOnOneLine) {
  EXPECT_EQ(Markdown("<h3>One<br><div>two</div><ul><li>three</ul></h3>x"), "### One two three\n\nx");
  EXPECT_EQ(Markdown("<h1></h1>x"), "x");
}

TEST(HtmlToMarkdown, EscapesWhatOnlyLooksLikeMarkdown) {
  EXPECT_EQ(Markdown("<p># no heading</p><p>a # b</p>"), "\\# no heading\n\na # b");
  EXPECT_EQ(Markdown("<pre>```\nx</pre>"), "````\n```\nx\n````");
}

TEST(HtmlToMarkdown, TakesAltTextAndDropsHiddenParts) {
  EXPECT_EQ(
      Markdown(
          "a<img alt='a photo'>b<noscript>no</noscript><template>no</template><svg><text>no</text></svg>"),
      "a a photo b");
}

TEST(HtmlToMarkdown, ReadsTextThatIsNoHtml) {
  EXPECT_EQ(Markdown("just text"), "just text");
  EXPECT_EQ(Markdown(""), "");
  EXPECT_EQ(Markdown("a < b > c"), "a < b > c");
}

std::string Repeat(absl::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) absl::StrAppend(&text, unit);
  return text;
}

TEST(HtmlDepth, CountsWhatStaysOpen) {
  struct Case {
    const char* html;
    size_t depth;
  } cases[] = {
      {"", 0},
      {"<div><b>x</b></div>", 2},
      {"<p>a<p>b<br><img src=x><li>c", 0},
      {"<em></b><em></b>", 2},
      {"<DIV></div><div>", 1},
      {"<!-- <div><div> --><div>", 1},
      {"<script>if (a<b) '<div>'</script><i>", 1},
      {"<script>never closed <div>", 0},
      {"</div></div><div>", 1},
      {"a < b <", 0},
  };
  for (const Case& c : cases) EXPECT_EQ(HtmlDepth(c.html), c.depth) << c.html;
}

TEST(HtmlToMarkdown, RefusesDeepNestingFast) {
  absl::Time start = absl::Now();
  for (const char* unit : {"<div>", "<b>", "<svg>", "<em></b>", "<table><td>", "<div></p>", "<x>"}) {
    auto page = HtmlToMarkdown(Repeat(unit, 1 << 20));
    EXPECT_EQ(page.status().code(), absl::StatusCode::kInvalidArgument) << unit;
    EXPECT_THAT(std::string(page.status().message()), HasSubstr("at most 512 elements open")) << unit;
  }
  EXPECT_LT(absl::ToDoubleSeconds(absl::Now() - start), 2);
}

TEST(HtmlToMarkdown, SurvivesBrokenPages) {
  for (const char* unit : {"<p>", "<li>", "<a href=", "&amp", "&#x110000;", "<!--", "<![CDATA[", "</",
                           "<table><tr", "<script>", "<?", "<title>"}) {
    (void)HtmlToMarkdown(Repeat(unit, 50'000)).ok();  // whatever it makes of it
  }
  const std::string page = "<html><head><title>t</title></head><body><h1>é</h1><pre>&lt;</pre></body></html>";
  for (size_t length = 0; length <= page.size(); ++length) {
    EXPECT_TRUE(HtmlToMarkdown(absl::string_view(page).substr(0, length)).ok()) << length;
  }
}

TEST(HtmlToMarkdown, GivesUpOnATreeThatExplodes) {
  // 400 open elements that Gumbo opens again in every paragraph.
  std::string page = "<p>";
  for (int i = 0; i < 400; ++i) absl::StrAppend(&page, "<font a=", i, ">");
  page += Repeat("<p>x</p>", 1 << 20);
  EXPECT_EQ(HtmlToMarkdown(page).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace larder::tools
