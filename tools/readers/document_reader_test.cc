#include "tools/readers/document_reader.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DocumentReaderTest : public TestFiles {
 protected:
  std::unique_ptr<DocumentReader> Open(const std::vector<std::string>& paths,
                                       DocumentReaderOptions options = {}) {
    auto reader = DocumentReader::Open(paths, std::move(options));
    EXPECT_TRUE(reader.ok()) << reader.status();
    return reader.ok() ? *std::move(reader) : nullptr;
  }
  static std::vector<SourcedDocument> Rest(DocumentReader& reader) {
    std::vector<SourcedDocument> documents;
    while (true) {
      auto next = reader.Next();
      EXPECT_TRUE(next.ok()) << next.status();
      if (!next.ok() || !next->has_value()) return documents;
      documents.push_back(**std::move(next));
    }
  }
  static std::vector<std::string> Ids(const std::vector<SourcedDocument>& documents) {
    std::vector<std::string> ids;
    for (const SourcedDocument& sourced : documents) ids.push_back(sourced.document.id);
    return ids;
  }
};

const char kLines[] =
    "{\"_id\": \"1\", \"text\": \"one\"}\n\n{\"_id\": \"2\", \"text\": \"two\"}\r\n{\"_id\": \"3\", "
    "\"text\": \"three\"}";

TEST_F(DocumentReaderTest, ReadsEachFormat) {
  Write("d/a.html", "<title>T</title><h1>H</h1>text");
  Write("d/b.md", "\xEF\xBB\xBF# Heading\n");
  Write("d/c.txt", "plain");
  Write("d/d.jsonl", kLines);
  auto reader = Open({Path("d")});
  auto documents = Rest(*reader);
  ASSERT_EQ(documents.size(), 6u);
  EXPECT_EQ(documents[0].document.title, "T");
  EXPECT_EQ(documents[0].document.text, "# H\n\ntext");
  EXPECT_EQ(documents[0].document.media_type, "text/markdown");
  EXPECT_EQ(documents[0].document.id, Path("d/a.html"));
  EXPECT_EQ(documents[1].document.text, "# Heading\n");
  EXPECT_EQ(documents[1].document.media_type, "text/markdown");
  EXPECT_EQ(documents[2].document.media_type, "text/plain");
  EXPECT_EQ(documents[4].document.text, "two");
  EXPECT_EQ(documents[4].line, 3u);
  EXPECT_EQ(documents[4].offset, 29u);
  EXPECT_EQ(documents[4].source, Path("d/d.jsonl"));
  EXPECT_EQ(reader->consumed_bytes(), reader->sources().total_bytes);
}

TEST_F(DocumentReaderTest, GoesOnFromAnyMark) {
  Write("d/a.jsonl", kLines);
  Write("d/b.md", "text");
  Write("d/c.jsonl", kLines);
  auto list = ListSources({Path("d")});
  ASSERT_TRUE(list.ok());
  const auto all = Rest(*DocumentReader::FromSources(*list));
  ASSERT_EQ(all.size(), 7u);
  auto reader = DocumentReader::FromSources(*list);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(reader->Next()->has_value());
    const ReadMark mark = reader->mark();
    SourceList left = *list;
    left.sources.erase(left.sources.begin(), left.sources.begin() + mark.source);
    if (!left.sources.empty()) {
      left.sources[0].start_offset = mark.offset;
      left.sources[0].start_line = mark.line;
    }
    auto rest = Rest(*DocumentReader::FromSources(left));
    ASSERT_EQ(rest.size(), all.size() - i - 1);
    for (size_t j = 0; j < rest.size(); ++j) {
      EXPECT_EQ(rest[j].document.id, all[i + 1 + j].document.id);
      EXPECT_EQ(rest[j].line, all[i + 1 + j].line);
      EXPECT_EQ(rest[j].offset, all[i + 1 + j].offset);
      EXPECT_EQ(rest[j].content_hash, all[i + 1 + j].content_hash);
    }
  }
  EXPECT_FALSE(reader->Next()->has_value());
  EXPECT_EQ(reader->mark().source, 3u);
  list->sources[0].start_offset = 1000;
  EXPECT_EQ(DocumentReader::FromSources(*list)->Next().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DocumentReaderTest, NamesFileLineAndByte) {
  struct Case {
    const char* name;
    std::string bytes;
    const char* message;
  } cases[] = {
      {"a.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n{\"_id\":\"\xff\"}\n",
       "a.jsonl:2: byte 31: expected UTF-8, found \"\\xff\""},
      {"b.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n{\"_id\":2,\n",
       "b.jsonl:2: byte 9 of the line: expected JSON"},
      {"c.jsonl", "\n\n{\"_id\":\"1\",\"oops\":1}", "c.jsonl:3: field \"oops\" is not known"},
      {"d.txt", "one\ntwo\n\xC0\xAF", "d.txt:3: byte 8: expected UTF-8, found \"\\xc0\""},
      {"e.md", "\xED\xA0\x80", "e.md:1: byte 0: expected UTF-8"},
      {"f.html", "a\n\x80", "f.html:2: byte 2: expected UTF-8"},
  };
  for (const Case& c : cases) {
    auto reader = Open({Write(c.name, c.bytes)});
    auto next = reader->Next();
    if (next.ok()) next = reader->Next();
    EXPECT_EQ(next.status().code(), absl::StatusCode::kInvalidArgument) << c.name;
    EXPECT_THAT(std::string(next.status().message()), HasSubstr(c.message)) << c.name;
  }
}

TEST_F(DocumentReaderTest, SkipsBadDocumentsWhenTold) {
  Write("d/a.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n\xff\n{\"_id\":\"2\",\"text\":\"y\"}\nnot json\n");
  Write("d/b.txt", "\xff");
  Write("d/c.txt", "fine");
  std::vector<std::string> told;
  DocumentReaderOptions options;
  options.skip_bad = true;
  options.on_skip = [&told](const absl::Status& status) { told.emplace_back(status.message()); };
  auto reader = Open({Path("d")}, options);
  EXPECT_THAT(Ids(Rest(*reader)), ElementsAre("1", "2", Path("d/c.txt")));
  EXPECT_EQ(reader->skipped(), 3u);
  EXPECT_THAT(told, ElementsAre(HasSubstr("a.jsonl:2"), HasSubstr("a.jsonl:4"), HasSubstr("b.txt:1")));
}

TEST_F(DocumentReaderTest, GoesOnBehindAnError) {
  auto reader = Open({Write("a.jsonl", "bad\n{\"_id\":\"2\",\"text\":\"y\"}\n")});
  EXPECT_FALSE(reader->Next().ok());
  EXPECT_THAT(Ids(Rest(*reader)), ElementsAre("2"));
}

TEST_F(DocumentReaderTest, PassesOverFilesWithoutText) {
  Write("d/a.txt", "");
  Write("d/b.md", " \n");
  Write("d/c.html", "<script>x</script>");
  Write("d/d.jsonl", "");
  auto reader = Open({Path("d")});
  EXPECT_THAT(Rest(*reader), IsEmpty());
  EXPECT_EQ(reader->skipped(), 3u);
}

TEST_F(DocumentReaderTest, BoundsLinesAndFiles) {
  std::string long_line = "{\"_id\":\"1\",\"text\":\"" + std::string(2 << 20, 'x') + "\"}\n";
  DocumentReaderOptions options;
  options.max_line_bytes = 1 << 20;
  auto reader = Open({Write("a.jsonl", long_line + "{\"_id\":\"2\",\"text\":\"y\"}\n" + long_line)}, options);
  EXPECT_THAT(std::string(reader->Next().status().message()),
              HasSubstr(":1: expected a line of at most 1048576 bytes"));
  auto next = reader->Next();
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_EQ((*next)->document.id, "2");
  EXPECT_EQ((*next)->line, 2u);
  EXPECT_EQ((*next)->offset, long_line.size());
  EXPECT_FALSE(reader->Next().ok());
  EXPECT_FALSE(reader->Next()->has_value());
  auto big = Open({Write("b.txt", std::string((16 << 20) + 1, 'x'))});
  EXPECT_THAT(std::string(big->Next().status().message()),
              HasSubstr("expected at most 16777216 bytes, found 16777217"));
}

TEST_F(DocumentReaderTest, ReadsLinesAcrossItsBlocks) {
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    absl::StrAppend(&text, "{\"_id\":", i, ",\"text\":\"", std::string(i % 50, 'x'), "\"}\n");
  auto documents = Rest(*Open({Write("a.jsonl", text)}));
  ASSERT_EQ(documents.size(), 20'000u);
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(documents[i].document.id, absl::StrCat(i));
}

TEST_F(DocumentReaderTest, RefusesEveryTruncationInsideALine) {
  const std::string text = kLines;
  size_t ends[] = {text.find("}") + 1, text.find("}\r") + 1, text.size()};
  for (size_t length = 0; length <= text.size(); ++length) {
    auto reader = Open({Write("t.jsonl", text.substr(0, length))});
    std::vector<std::string> ids;
    absl::Status status;
    while (true) {
      auto next = reader->Next();
      status = next.status();
      if (!next.ok() || !next->has_value()) break;
      ids.push_back((*next)->document.id);
    }
    size_t complete =
        std::count_if(std::begin(ends), std::end(ends), [&](size_t end) { return end <= length; });
    EXPECT_EQ(ids.size(), complete) << length;
    bool between = length == 0 || complete == 3 || text[length - 1] == '}' || text[length - 1] == '\n' ||
                   text[length - 1] == '\r';
    EXPECT_EQ(status.ok(), between) << length << " " << status;
  }
}

TEST_F(DocumentReaderTest, FillsInTheTenant) {
  DocumentReaderOptions options;
  options.tenant = "t";
  auto documents = Rest(
      *Open({Write("a.jsonl", "{\"_id\":1,\"text\":\"x\"}\n{\"_id\":2,\"text\":\"y\",\"tenant\":\"u\"}\n")},
            options));
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].document.tenant, "t");
  EXPECT_EQ(documents[1].document.tenant, "u");
}

TEST(ContentHash, SeesEveryField) {
  Document base;
  base.id = "a";
  base.metadata = {{"x", 1}};
  base.chunks.resize(1);
  std::vector<Document> others(10, base);
  others[0].id = "b";
  others[1].title = "t";
  others[2].text = "t";
  others[3].tenant = "t";
  others[4].metadata = {{"x", MetadataValue(Scalar(1.0))}};
  others[5].metadata = {{"x", MetadataValue(std::vector<Scalar>{Scalar(int64_t{1})})}};
  others[6].expires_at_ms = 1;
  others[7].chunks[0].vectors["v"] = {1};
  others[8].chunks[0].span = ByteSpan{0, 0};
  others[9].uri = "t";
  EXPECT_EQ(ContentHash(base), ContentHash(Document(base)));
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_NE(ContentHash(others[i]), ContentHash(base)) << i;
    for (size_t j = 0; j < i; ++j) EXPECT_NE(ContentHash(others[i]), ContentHash(others[j])) << i << " " << j;
  }
}

}  // namespace
}  // namespace larder::tools
