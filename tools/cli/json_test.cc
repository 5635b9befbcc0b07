#include "tools/cli/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace larder::tools {
namespace {

using ::testing::HasSubstr;

Document Example() {
  Document document;
  document.id = "carrots";
  document.tenant = "t";
  document.title = "Carrots";
  document.text = "Keep in sand.";
  document.uri = "file:carrots.md";
  document.media_type = "text/markdown";
  document.metadata = {{"year", 1970},
                       {"tags", MetadataValue(std::vector<Scalar>{std::string("a"), int64_t{2}})}};
  document.metadata["ratio"] = MetadataValue(Scalar(0.5));
  document.metadata["fresh"] = MetadataValue(Scalar(true));
  GivenChunk chunk;
  chunk.text = "Keep in sand.";
  chunk.vectors = {{"default", {0.1f, -2.0f}}};
  chunk.section = "Store";
  chunk.span = ByteSpan{0, 13};
  document.chunks.push_back(chunk);
  document.expires_at_ms = 12;
  document.version = 3;
  return document;
}

TEST(Json, DocumentReadsBackAsItWasWritten) {
  const Document document = Example();
  const Document back = *DocumentFromJson(*ParseJson(ToLine(ToJson(document, true)), "line"));
  EXPECT_EQ(back.id, document.id);
  EXPECT_EQ(back.tenant, document.tenant);
  EXPECT_EQ(back.title, document.title);
  EXPECT_EQ(back.text, document.text);
  EXPECT_EQ(back.uri, document.uri);
  EXPECT_EQ(back.media_type, document.media_type);
  EXPECT_EQ(back.metadata, document.metadata);
  EXPECT_EQ(back.expires_at_ms, 12);
  EXPECT_EQ(back.version, 3);
  ASSERT_EQ(back.chunks.size(), 1);
  EXPECT_EQ(back.chunks[0].vectors, document.chunks[0].vectors);
  EXPECT_EQ(back.chunks[0].span, document.chunks[0].span);
  EXPECT_EQ(back.chunks[0].section, "Store");
}

TEST(Json, FloatsAreWrittenShort) {
  const std::string line = ToLine(ToJson(Example(), true));
  EXPECT_THAT(line, HasSubstr("\"default\":[0.1,-2.0]"));
}

TEST(Json, ProfileReadsBackAsItWasWritten) {
  KvProfile profile;
  profile.model = "m";
  profile.model_revision = "r";
  profile.dtype = KvDtype::kBf16;
  profile.layers = 30;
  profile.kv_heads = 3;
  profile.head_dim = 64;
  profile.rope_style = RopeStyle::kInterleaved;
  profile.k_before_rope = false;
  profile.rope_frequencies = {1, 0.5};
  EXPECT_EQ(*KvProfileFromJson(ToJson(profile)), profile);
}

TEST(Json, EachFaultNamesItsField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"id": 7})", "\"document.id\": expected a string, found number"},
      {R"({"idd": "x"})", "unknown field \"document.idd\""},
      {R"([1])", "document: expected a JSON object, found array"},
      {R"({"version": -1})", "\"document.version\": expected an integer of at least 0"},
      {R"({"metadata": {"a": null}})",
       "\"metadata.a\": expected a string, a number, true or false, found null"},
      {R"({"metadata": {"a": [[1]]}})", "\"metadata.a\""},
      {R"({"metadata": {"a": 18446744073709551615}})", "does not fit 64 bits"},
      {R"({"chunks": [{"text": "a"}, {"txt": "b"}]})", "unknown field \"document.chunks[1].txt\""},
      {R"({"chunks": [{"vectors": {"d": [1, "x"]}}]})",
       "\"document.chunks[0].vectors.d\": expected a number"},
      {R"({"chunks": [{"span": [1]}]})", "\"document.chunks[0].span\": expected [begin, end]"},
  };
  for (const auto& [text, expected] : cases) {
    const absl::Status status = DocumentFromJson(*ParseJson(text, "test")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(expected)) << text;
  }
  EXPECT_THAT(std::string(KvProfileFromJson(*ParseJson(R"({"dtype": "f8"})", "test")).status().message()),
              HasSubstr("expected one of f32, f16, bf16; found \"f8\""));
}

TEST(Json, ParseSaysWhereTextStopsBeingJson) {
  const absl::Status status = ParseJson("{\"a\": 1,}", "x.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("x.json: not JSON"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("column 9"));
}

TEST(Json, BytesThatAreNoUtf8AreReplaced) { EXPECT_EQ(ToLine(Json("a\xff")), "\"a\xEF\xBF\xBD\"\n"); }

}  // namespace
}  // namespace larder::tools
