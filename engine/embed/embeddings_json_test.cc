#include "engine/embed/embeddings_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EmbeddingsRequest, IsWhatServicesExpect) {
  const auto request = nlohmann::json::parse(EmbeddingsRequest("m \"1\"", {"a\n",
                                                                           "\xff"
                                                                           "é"}));
  EXPECT_EQ(request, nlohmann::json::parse(
                         R"({"model":"m \"1\"","encoding_format":"float","input":["a\n","\ufffdé"]})"));
}

TEST(ParseEmbeddings, OrdersRowsByIndex) {
  const auto parsed = ParseEmbeddings(
      R"({"object":"list","usage":{},
          "data":[{"index":1,"embedding":[3,4.5]},{"index":0,"embedding":[-1,2e0]}]})",
      2);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->dimension, 2);
  EXPECT_THAT(parsed->rows, ElementsAre(-1, 2, 3, 4.5));
  const auto unnumbered = ParseEmbeddings(R"({"data":[{"embedding":[1]},{"embedding":[2]}]})", 2);
  ASSERT_TRUE(unnumbered.ok()) << unnumbered.status();
  EXPECT_THAT(unnumbered->rows, ElementsAre(1, 2));
}

TEST(ParseEmbeddings, RefusesBadReplies) {
  struct Case {
    std::string body;
    std::string message;
  } cases[] = {
      {"", "expected a JSON object"},
      {"not json", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {R"({"error":"x"})", "a list \"data\""},
      {R"({"data":{}})", "a list \"data\""},
      {R"({"data":[]})", "expected 2 rows, found 0"},
      {R"({"data":[{"index":0,"embedding":[1]}]})", "expected 2 rows, found 1"},
      {R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]},{"index":2,"embedding":[1]}]})",
       "found 3"},
      {R"({"data":[1,2]})", "row 0 has no list"},
      {R"({"data":[{"index":0,"embedding":"AAAA"},{"index":1,"embedding":[1]}]})", "row 0 has no list"},
      {R"({"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[1]}]})", "row 0 has dimension 0"},
      {R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]})", "row 1 has dimension 2"},
      {R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})", "index 0 occurs twice"},
      {R"({"data":[{"index":0,"embedding":[1]},{"embedding":[1]}]})", ""},  // 0, then by position 1
      {R"({"data":[{"index":2,"embedding":[1]},{"index":1,"embedding":[1]}]})", "index 2 of 2"},
      {R"({"data":[{"index":-1,"embedding":[1]},{"index":1,"embedding":[1]}]})", "index -1 of 2"},
      {R"({"data":[{"index":0.5,"embedding":[1]},{"index":1,"embedding":[1]}]})", "index 0.5 of 2"},
      {R"({"data":[{"index":0,"embedding":[NaN]},{"index":1,"embedding":[1]}]})", "expected a JSON object"},
      {R"({"data":[{"index":0,"embedding":[null]},{"index":1,"embedding":[1]}]})", "row 0 has a value"},
      {R"({"data":[{"index":0,"embedding":["1"]},{"index":1,"embedding":[1]}]})", "row 0 has a value"},
      {R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e39]}]})", "row 1 has a value"},
      {R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e999]}]})", "expected a JSON object"},
      {std::string(1 << 20, '['), "expected a JSON object"},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseEmbeddings(c.body, 2);
    if (c.message.empty()) {
      EXPECT_TRUE(parsed.ok()) << parsed.status();
      continue;
    }
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kFailedPrecondition) << c.body.substr(0, 100);
    EXPECT_THAT(parsed.status().message(), HasSubstr(c.message)) << c.body.substr(0, 100);
  }
}

TEST(ParseEmbeddings, LimitsTheDimension) {
  const auto reply = [](size_t dimension) {
    std::string body = R"({"data":[{"index":0,"embedding":[1)";
    for (size_t i = 1; i < dimension; ++i) body += ",1";
    return body + "]}]}";
  };
  EXPECT_TRUE(ParseEmbeddings(reply(65536), 1).ok());
  EXPECT_THAT(ParseEmbeddings(reply(65537), 1).status().message(), HasSubstr("dimension 65537"));
}

}  // namespace
}  // namespace larder
