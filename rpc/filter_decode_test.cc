#include "rpc/filter_decode.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "larder/v1/larder.pb.h"

namespace larder {
namespace {

v1::Filter Parse(const std::string& text) {
  v1::Filter filter;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &filter)) << text;
  return filter;
}

struct TreeCase {
  const char* tree;
  const char* expression;  // one that means the same
};

// Both ways to say it end in the same text.
TEST(FilterDecode, MeansWhatTheExpressionMeans) {
  const TreeCase cases[] = {
      {R"(comparison { field: "year" op: OPERATOR_EQUAL value { int_value: 1970 } })", "year = 1970"},
      {R"(comparison { field: "year" op: OPERATOR_NOT_EQUAL value { int_value: 1970 } })", "year != 1970"},
      {R"(comparison { field: "x" op: OPERATOR_LESS value { double_value: 1.5 } })", "x < 1.5"},
      {R"(comparison { field: "x" op: OPERATOR_LESS_OR_EQUAL value { int_value: -3 } })", "x <= -3"},
      {R"(comparison { field: "x" op: OPERATOR_GREATER value { int_value: 0 } })", "x > 0"},
      {R"(comparison { field: "x" op: OPERATOR_GREATER_OR_EQUAL value { int_value: 1 } })", "x >= 1"},
      {R"(comparison { field: "draft" op: OPERATOR_EQUAL value { bool_value: true } })", "draft = true"},
      {R"(membership { field: "s" values { string_value: "2" } values { string_value: "a\"b" } })",
       R"(s in ("2", "a\"b"))"},
      {R"(exists: "author")", "exists(author)"},
      {R"(prefix { field: "title" prefix: "Intro" })", R"(title prefix "Intro")"},
      {R"(not_of { any_of { filters { exists: "a" } filters { exists: "b" } } })",
       "not (exists(a) or exists(b))"},
      {R"(all_of { filters { exists: "a" } filters { not_of { exists: "b" } } })",
       "exists(a) and not exists(b)"},
  };
  for (const TreeCase& c : cases) {
    SCOPED_TRACE(c.expression);
    const auto from_tree = DecodeFilter(Parse(c.tree));
    ASSERT_TRUE(from_tree.ok()) << from_tree.status();
    const auto from_text = ParseFilter(c.expression);
    ASSERT_TRUE(from_text.ok()) << from_text.status();
    EXPECT_EQ(FilterToString(*from_tree), FilterToString(*from_text));
  }
}

TEST(FilterDecode, RefusesWhatIsNotSet) {
  for (const char* tree :
       {"", "not_of {}", "all_of { filters {} }", "comparison { field: \"a\" value { int_value: 1 } }",
        "comparison { field: \"a\" op: OPERATOR_EQUAL }", "membership { field: \"a\" }",
        "membership { field: \"a\" values {} }"}) {
    const auto filter = DecodeFilter(Parse(tree));
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << tree << ": " << filter.status();
  }
}

TEST(FilterDecode, BoundsTheDepth) {
  const auto nested = [](int nots) {
    std::string tree = "exists: \"a\"";
    for (int i = 0; i < nots; ++i) tree = absl::StrCat("not_of { ", tree, " }");
    return DecodeFilter(Parse(tree)).status();
  };
  EXPECT_TRUE(nested(kMaxFilterDepth - 2).ok()) << nested(kMaxFilterDepth - 2);
  EXPECT_EQ(nested(kMaxFilterDepth + 1).code(), absl::StatusCode::kInvalidArgument);
}

TEST(FilterDecode, ReadsEitherFormOfARequest) {
  v1::CountRequest request;
  EXPECT_EQ(*FilterOf(request), "");
  request.set_filter("a = 1");
  EXPECT_EQ(*FilterOf(request), "a = 1");
  *request.mutable_filter_tree() = Parse("exists: \"a\"");
  EXPECT_EQ(*FilterOf(request), FilterToString(*ParseFilter("exists(a)")));
  request.mutable_filter_tree()->Clear();
  EXPECT_FALSE(FilterOf(request).ok());
}

}  // namespace
}  // namespace larder
