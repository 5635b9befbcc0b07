#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/filter.h"
#include "engine/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;  // NOLINT
using Op = Filter::Op;

bool Equal(const Filter& a, const Filter& b) {
  if (a.op != b.op || a.field != b.field || a.values != b.values) return false;
  return std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(), Equal);
}

// The tree as an S-expression, so that a table can say what is expected.
std::string Tree(const Filter& filter) {
  static const char* const kNames[] = {"and", "or", "not", "=",  "!=",     "<",
                                       "<=",  ">",  ">=",  "in", "exists", "prefix"};
  std::string out = absl::StrCat("(", kNames[static_cast<int>(filter.op)]);
  if (filter.op >= Op::kEq) absl::StrAppend(&out, " ", filter.field);
  for (const Scalar& value : filter.values) {
    if (auto* flag = std::get_if<bool>(&value)) absl::StrAppend(&out, *flag ? " b:true" : " b:false");
    if (auto* integer = std::get_if<int64_t>(&value)) absl::StrAppend(&out, " i:", *integer);
    if (auto* decimal = std::get_if<double>(&value)) absl::StrAppend(&out, " d:", *decimal);
    if (auto* text = std::get_if<std::string>(&value)) absl::StrAppend(&out, " s:", *text);
  }
  for (const Filter& child : filter.children) absl::StrAppend(&out, " ", Tree(child));
  return out + ")";
}

TEST(ParseFilter, BuildsTheTree) {
  struct Case {
    const char* expression;
    const char* tree;
  } cases[] = {
      {"", "(and)"},
      {"  \n", "(and)"},
      {"year >= 1970 and section in (\"2\", \"3\")", "(and (>= year i:1970) (in section s:2 s:3))"},
      {"not (lang = \"de\" or draft = true)", "(not (or (= lang s:de) (= draft b:true)))"},
      {"title prefix \"Intro\"", "(prefix title s:Intro)"},
      {"exists(author) and pages < 12.5", "(and (exists author) (< pages d:12.5))"},
      {"a=1 or b=2 and c=3", "(or (= a i:1) (and (= b i:2) (= c i:3)))"},
      {"not a=1 and b=2", "(and (not (= a i:1)) (= b i:2))"},
      {"not not a=1", "(not (not (= a i:1)))"},
      {"a=1 and b=2 and c=3", "(and (= a i:1) (= b i:2) (= c i:3))"},
      {"(a=1 and b=2) and c=3", "(and (and (= a i:1) (= b i:2)) (= c i:3))"},
      {"((a=1))", "(= a i:1)"},
      {"\"a field\" != 'it\\'s'", "(!= a field s:it's)"},
      {"'and' = 'or'", "(= and s:or)"},
      {"a<-3", "(< a i:-3)"},
      {"a<=-0.5e-3", "(<= a d:-0.0005)"},
      {"a>1e3", "(> a d:1000)"},
      {"a in (1, 2.5, 'x', false)", "(in a i:1 d:2.5 s:x b:false)"},
      {"a.b-c_d = 9223372036854775807", "(= a.b-c_d i:9223372036854775807)"},
      {"a = -9223372036854775808", "(= a i:-9223372036854775808)"},
      {"größe = 1", "(= größe i:1)"},
      {"a = \"\\\"\\\\\\n\\t\\u00e9\\uD83D\\uDE00\"", "(= a s:\"\\\n\té😀)"},
      {"a = \"it's\"", "(= a s:it's)"},
      {"true or a=1", "(or (and) (= a i:1))"},
      {"not false", "(not (or))"},
      {"android = 1", "(= android i:1)"},
      {"exists(\"in\")", "(exists in)"},
  };
  for (const Case& c : cases) {
    auto filter = ParseFilter(c.expression);
    ASSERT_TRUE(filter.ok()) << c.expression << ": " << filter.status();
    EXPECT_EQ(Tree(*filter), c.tree) << c.expression;
  }
}

TEST(ParseFilter, NamesOffsetExpectedAndFound) {
  struct Case {
    std::string expression;
    const char* message;
  } cases[] = {
      {"a", "byte 1: expected =, !=, <, <=, >, >=, \"in\" or \"prefix\", found the end"},
      {"a = ", "byte 4: expected a string, a number, true or false, found the end"},
      {"a == 1", "byte 3: expected a string, a number, true or false, found \"=\""},
      {"a = b", "byte 4: expected a string, a number, true or false, found \"b\""},
      {"a = 1 b = 2", "byte 6: expected \"and\", \"or\" or the end, found \"b\""},
      {"a = 1 AND b = 2", "byte 6: expected \"and\", \"or\" or the end, found \"AND\""},
      {"a = 1 and", "byte 9: expected a field, found the end"},
      {"and a = 1", "byte 0: expected a field, found \"and\""},
      {"(a = 1", "byte 6: expected \"and\", \"or\" or \")\", found the end"},
      {"a = 1)", "byte 5: expected \"and\", \"or\" or the end, found \")\""},
      {"()", "byte 1: expected a field, found \")\""},
      {"a in ()", "byte 6: expected a string, a number, true or false, found \")\""},
      {"a in (1,)", "byte 8: expected a string"},
      {"a in (1 2)", "byte 8: expected \",\" or \")\", found \"2\""},
      {"a in 1", "byte 5: expected \"(\", found \"1\""},
      {"a prefix 1", "byte 9: expected a string, found \"1\""},
      {"exists a", "byte 7: expected \"(\", found \"a\""},
      {"exists()", "byte 7: expected a field, found \")\""},
      {"1 = a", "byte 0: expected a field, found \"1\""},
      {"a = 'x", "byte 4: expected a string that ends with ', found \"'x\""},
      {"a = \"\\x\"", "byte 5: expected \\\", \\', \\\\, \\n, \\t or \\uXXXX, found \"\\x\""},
      {"a = '\\", "byte 5: expected \\\""},
      {"a = '\\u12g4'", "byte 5: expected \\u and four hexadecimal digits, found \"\\u12g4\""},
      {"a = '\\u12", "byte 5: expected \\u and four hexadecimal digits"},
      {"a = '\\ud83d'", "byte 5: expected a pair of surrogates"},
      {"a = '\\ud83d\\u0041'", "byte 5: expected a pair of surrogates"},
      {"a = '\\ude00'", "byte 5: expected a character, found \"\\ude00\""},
      {"a = 9223372036854775808", "byte 4: expected an integer from -2^63 to 2^63 - 1"},
      {"a = 1e999", "byte 4: expected a decimal that a double can hold, found \"1e999\""},
      {"a = 1.", "byte 4: expected a number, found \"1.\""},
      {"a = 1x", "byte 4: expected a number, found \"1x\""},
      {"a = nan", "byte 4: expected a string, a number, true or false, found \"nan\""},
      {"a ! 1", "byte 2: expected a field, a value, an operator or a parenthesis, found \"!\""},
      {"a = 1; drop", "byte 5: expected a field, a value"},
      {"a = '\xff'", "byte 5: expected UTF-8, found \"\\xff\""},
      {"a = '\xed\xa0\x80'", "byte 5: expected UTF-8"},
  };
  for (const Case& c : cases) {
    auto filter = ParseFilter(c.expression);
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << c.expression;
    EXPECT_THAT(std::string(filter.status().message()), HasSubstr(c.message)) << c.expression;
  }
}

std::string Repeat(const std::string& unit, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += unit;
  return text;
}

TEST(ParseFilter, BoundsDepthAndTerms) {
  EXPECT_TRUE(ParseFilter(Repeat("(", 31) + "a=1" + Repeat(")", 31)).ok());
  EXPECT_TRUE(ParseFilter(Repeat("not ", 31) + "a=1").ok());
  EXPECT_TRUE(ParseFilter("a=1" + Repeat(" or a=1", kMaxFilterTerms - 1)).ok());
  std::string values = "a in (1" + Repeat(",1", kMaxFilterTerms - 1) + ")";
  EXPECT_TRUE(ParseFilter(values).ok());
  for (const std::string& refused :
       {Repeat("(", 32) + "a=1" + Repeat(")", 32), Repeat("not ", 32) + "a=1",
        Repeat("a=1 or a=1 and (", 20) + "a=1" + Repeat(")", 20), "a=1" + Repeat(" or a=1", kMaxFilterTerms),
        values + " or b=1", "a in (1" + Repeat(",1", kMaxFilterTerms) + ")"}) {
    EXPECT_EQ(ParseFilter(refused).status().code(), absl::StatusCode::kInvalidArgument)
        << refused.substr(0, 60);
  }
}

TEST(ParseFilter, RefusesHugeInputsFast) {
  absl::Time start = absl::Now();
  for (const std::string& unit : {"("s, "not "s, "a=1 or "s, "((a=1) or "s, "'"s, "a in (1,"s, "exists("s}) {
    EXPECT_FALSE(ParseFilter(Repeat(unit, 100'000)).ok());
  }
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(350));
}

TEST(ParseFilter, SurvivesRandomText) {
  const std::string pieces[] = {"a",    "and ", "or ", "not ", "(",    ")",   "in ",   "prefix ", "exists",
                                "=",    "!=",   "<",   "1",    "-2.5", "'s'", "\"t\"", ",",       " ",
                                "true", "\\",   "'",   "\"",   "\xC3", "é",   "!"};
  int parsed = 0;
  for (uint64_t seed = 1; seed <= 50'000; ++seed) {
    std::mt19937_64 random(seed);
    std::string text;
    for (size_t i = random() % 12; i > 0; --i) text += pieces[random() % std::size(pieces)];
    auto filter = ParseFilter(text);
    if (!filter.ok()) {
      ASSERT_THAT(std::string(filter.status().message()), HasSubstr("filter: ")) << text;
      continue;
    }
    ++parsed;
    ASSERT_TRUE(ValidateFilter(*filter).ok()) << text;
    auto again = ParseFilter(FilterToString(*filter));
    ASSERT_TRUE(again.ok()) << text << " -> " << FilterToString(*filter) << ": " << again.status();
    ASSERT_TRUE(Equal(*filter, *again)) << text << " -> " << FilterToString(*filter);
  }
  EXPECT_GT(parsed, 500);
}

Scalar RandomScalar(std::mt19937_64& random, bool text_only) {
  static const double kDoubles[] = {0.0, -0.0, 1.0, -1e300, 5e-324, 0.1, 1e16, 1.7976931348623157e308};
  static const std::string kTexts[] = {"",    "a\"b\\", "\n\t\x01\x7f", "é😀", std::string("\0x", 2),
                                       "and", "it's"};
  switch (text_only ? 3 : random() % 4) {
    case 0:
      return random() % 2 == 0;
    case 1:
      return static_cast<int64_t>(random());
    case 2:
      return random() % 2 ? kDoubles[random() % std::size(kDoubles)] : static_cast<double>(random()) / 3;
    default:
      return kTexts[random() % std::size(kTexts)];
  }
}

Filter RandomFilter(std::mt19937_64& random, int depth) {
  Filter filter;
  if (depth > 0 && random() % 2) {
    filter.op = static_cast<Op>(random() % 3);
    size_t children = filter.op == Op::kNot ? 1 : random() % 5 == 0 ? 0 : 2 + random() % 2;
    for (size_t i = 0; i < children; ++i) filter.children.push_back(RandomFilter(random, depth - 1));
    return filter;
  }
  static const std::string kFields[] = {"a", "x.y-z", "and", "", "a b", "größe", "1st", "true", "q\"\\\n"};
  filter.op = static_cast<Op>(3 + random() % 9);
  filter.field = kFields[random() % std::size(kFields)];
  size_t values = filter.op == Op::kExists ? 0 : filter.op == Op::kIn ? 1 + random() % 4 : 1;
  for (size_t i = 0; i < values; ++i) filter.values.push_back(RandomScalar(random, filter.op == Op::kPrefix));
  return filter;
}

TEST(FilterToString, ParsesBackToAnEqualFilter) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    std::mt19937_64 random(seed);
    Filter filter = RandomFilter(random, seed % 8);
    if (!ValidateFilter(filter).ok()) continue;  // too many terms
    std::string text = FilterToString(filter);
    auto again = ParseFilter(text);
    ASSERT_TRUE(again.ok()) << "seed " << seed << ": " << text << ": " << again.status();
    ASSERT_TRUE(Equal(filter, *again)) << "seed " << seed << ": " << text << "\n" << FilterToString(*again);
  }
}

TEST(FilterToString, HoldsAtTheGreatestDepth) {
  Filter filter;
  filter.op = Op::kExists;
  filter.field = "a";
  for (int depth = 1; depth < kMaxFilterDepth; ++depth) {
    Filter outer;
    outer.op = depth % 3 == 0 ? Op::kNot : depth % 3 == 1 ? Op::kAnd : Op::kOr;
    outer.children.push_back(filter);
    if (outer.op != Op::kNot)
      outer.children.push_back(outer.children[0].children.empty() ? filter : Filter{});
    filter = outer;
  }
  ASSERT_TRUE(ValidateFilter(filter).ok()) << ValidateFilter(filter);
  auto again = ParseFilter(FilterToString(filter));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(Equal(filter, *again));
  Filter outer;
  outer.op = Op::kNot;
  outer.children.push_back(filter);
  EXPECT_FALSE(ValidateFilter(outer).ok());
}

TEST(ValidateFilter, ChecksArityAndTypes) {
  auto leaf = [](Op op, std::vector<Scalar> values) {
    Filter filter;
    filter.op = op;
    filter.field = "a";
    filter.values = std::move(values);
    return filter;
  };
  Filter not_two = leaf(Op::kNot, {}), and_field = leaf(Op::kAnd, {}), parent = leaf(Op::kEq, {Scalar(true)});
  not_two.field.clear();
  not_two.children.resize(2);
  parent.children.resize(1);
  Filter wide = leaf(Op::kOr, {});
  wide.field.clear();
  wide.children.resize(kMaxFilterTerms + 1);
  Filter bytes = leaf(Op::kExists, {});
  bytes.field = "\xff";
  Filter bad_op = leaf(static_cast<Op>(12), {});
  for (const Filter& bad :
       {leaf(Op::kEq, {}), leaf(Op::kEq, {Scalar(true), Scalar(true)}), leaf(Op::kIn, {}),
        leaf(Op::kExists, {Scalar(true)}), leaf(Op::kPrefix, {Scalar(int64_t{1})}),
        leaf(Op::kLt, {Scalar(0.0 / 0.0)}), leaf(Op::kLt, {Scalar(1.0 / 0.0)}),
        leaf(Op::kEq, {Scalar("\xff"s)}), not_two, and_field, parent, wide, bytes, bad_op}) {
    EXPECT_EQ(ValidateFilter(bad).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(ValidateFilter(Filter{}).ok());
}

}  // namespace
}  // namespace larder
