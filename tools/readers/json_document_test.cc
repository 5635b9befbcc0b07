#include "tools/readers/json_document.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Document Parse(absl::string_view line, const JsonDocumentOptions& options = {}) {
  auto document = ParseJsonDocument(line, options);
  EXPECT_TRUE(document.ok()) << document.status();
  return document.ok() ? *std::move(document) : Document();
}

TEST(ParseJsonDocument, ReadsEveryField) {
  Document document = Parse(
      R"({"_id": "a", "title": "T", "text": "caf\u00e9", "uri": "u", "tenant": "t", "media_type": "text/markdown",
          "expires_at_ms": 5, "metadata": {"year": 1958, "score": 0.5, "draft": true, "lang": "de",
          "tags": ["x", 7], "none": [], "null": null}})");
  EXPECT_EQ(document.id, "a");
  EXPECT_EQ(document.title, "T");
  EXPECT_EQ(document.text, "café");
  EXPECT_EQ(document.uri, "u");
  EXPECT_EQ(document.tenant, "t");
  EXPECT_EQ(document.media_type, "text/markdown");
  EXPECT_EQ(document.expires_at_ms, 5);
  EXPECT_TRUE(document.chunks.empty());
  Metadata expected = {
      {"year", 1958},
      {"score", MetadataValue(Scalar(0.5))},
      {"draft", MetadataValue(Scalar(true))},
      {"lang", "de"},
      {"tags", MetadataValue(std::vector<Scalar>{Scalar(std::string("x")), Scalar(int64_t{7})})},
      {"none", MetadataValue(std::vector<Scalar>{})}};
  EXPECT_EQ(document.metadata, expected);
}

TEST(ParseJsonDocument, MakesOneChunkOfAVector) {
  Document document = Parse(R"({"id": 17, "text": "hello", "vector": [1, -0.5]})", {.vector_space = "v"});
  EXPECT_EQ(document.id, "17");
  ASSERT_EQ(document.chunks.size(), 1u);
  EXPECT_EQ(document.chunks[0].text, "hello");
  EXPECT_EQ(document.chunks[0].span, (ByteSpan{0, 5}));
  EXPECT_THAT(document.chunks[0].vectors.at("v"), ElementsAre(1, -0.5f));
  EXPECT_FALSE(Parse(R"({"id": "b", "vector": [1]})").chunks[0].span.has_value());
}

TEST(ParseJsonDocument, PutsExtraFieldsIntoMetadataWhenTold) {
  Document document =
      Parse(R"({"_id": "a", "text": "t", "author": "x", "pages": 3})", {.extra_fields_to_metadata = true});
  EXPECT_EQ(document.metadata, (Metadata{{"author", "x"}, {"pages", 3}}));
}

TEST(ParseJsonDocument, NamesWhatIsWrong) {
  struct Case {
    const char* line;
    const char* message;
    bool extra = false;
  } cases[] = {
      {"", "byte 0 of the line: expected JSON, found the end of the line"},
      {"{\"_id\": \"a\"", "byte 11 of the line: expected JSON, found the end of the line"},
      {"{\"_id\": \"a\"} x", "byte 13 of the line: expected JSON, found \"x\""},
      {"[1]", "field \"document\": expected an object, found array"},
      {"{}", "field \"_id\": expected an id, found none"},
      {"{\"_id\": \"\"}", "field \"_id\": expected an id"},
      {"{\"_id\": null}", "field \"_id\": expected an id"},
      {"{\"_id\": 1.5}", "field \"_id\": expected a string, found number \"1.5\""},
      {"{\"_id\": \"a\", \"id\": \"a\"}", "expected either _id or id"},
      {"{\"_id\": \"a\", \"_id\": \"b\"}", "field \"_id\" stands twice"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": 1, \"x\": 2}}", "field \"x\" stands twice"},
      {"{\"_id\": \"a\", \"text\": 5}", "field \"text\": expected a string, found number \"5\""},
      {"{\"_id\": \"a\", \"author\": 5}", "field \"author\" is not known: expected _id, id, title"},
      {"{\"_id\": \"a\", \"author\": {\"x\": 1}}", "field \"author\": expected a string, a number", true},
      {"{\"_id\": \"a\", \"x\": 1, \"metadata\": {\"x\": 1}}", "stands both in \"metadata\" and beside it",
       true},
      {"{\"_id\": \"a\", \"metadata\": [1]}", "field \"metadata\": expected an object"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": {\"y\": 1}}}", "field \"x\": expected a string, a number"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": [[1]]}}", "expected at most three levels"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": [null]}}", "field \"x\": expected a string, a number"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": 9223372036854775808}}",
       "field \"x\": expected at most 2^63 - 1"},
      {"{\"_id\": \"a\", \"metadata\": {\"x\": 1e999}}", "JSON"},
      {"{\"_id\": \"a\", \"vector\": []}", "field \"vector\": expected a list of numbers"},
      {"{\"_id\": \"a\", \"vector\": [\"1\"]}", "field \"vector\": expected numbers, found string"},
      {"{\"_id\": \"a\", \"vector\": [1e300]}", "field \"vector\": expected numbers that a float can hold"},
      {"{\"_id\": \"a\", \"expires_at_ms\": -1}", "field \"expires_at_ms\": expected milliseconds"},
      {"{\"_id\": \"a\", \"expires_at_ms\": 1.5}", "field \"expires_at_ms\": expected milliseconds"},
      {"{\"_id\": \"\\ud800\"}", "expected JSON"},
      {"{\"_id\": \"\xff\"}", "expected JSON"},
      {"{\"_id\": \"a\", \"text\": \"\x01\"}", "expected JSON"},
      {"{\"_id\": NaN}", "expected JSON"},
  };
  for (const Case& c : cases) {
    auto document = ParseJsonDocument(c.line, {.extra_fields_to_metadata = c.extra});
    EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument) << c.line;
    EXPECT_THAT(std::string(document.status().message()), HasSubstr(c.message)) << c.line;
    EXPECT_LT(document.status().message().size(), 300u);
  }
}

TEST(ParseJsonDocument, RefusesDeepNestingWithoutRecursion) {
  std::string deep = "{\"_id\": " + std::string(1'000'000, '[');
  EXPECT_THAT(std::string(ParseJsonDocument(deep, {}).status().message()), HasSubstr("three levels"));
}

TEST(ParseJsonDocument, RefusesEveryTruncation) {
  const std::string good = R"({"_id": "a", "text": "é", "metadata": {"x": [1, "y"]}, "vector": [0.5]})";
  ASSERT_TRUE(ParseJsonDocument(good, {}).ok());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseJsonDocument(absl::string_view(good).substr(0, length), {}).ok()) << length;
  }
}

}  // namespace
}  // namespace larder::tools
