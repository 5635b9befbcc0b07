// Whole ingestions into a real database, with given vectors: no model is needed.
#include "tools/ingest/ingest.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class IngestTest : public TestFiles {
 protected:
  void SetUp() override {
    TestFiles::SetUp();
    arguments_.address.db = Path("db");
    arguments_.collection = "docs";
    arguments_.create = true;
    arguments_.embedder = "none";
    arguments_.dimension = 2;
    arguments_.quiet = true;
  }

  std::string WriteLines(const std::string& name, int first, int count) {
    std::string text;
    for (int i = first; i < first + count; ++i) {
      absl::StrAppend(&text, "{\"_id\":\"", i, "\",\"text\":\"t", i, "\",\"vector\":[1,", i,
                      "],\"metadata\":{\"n\":", i, "}}\n");
    }
    return Write(name, text);
  }
  absl::StatusOr<IngestReport> Run(const std::vector<std::string>& paths) {
    arguments_.paths = paths;
    warnings_.clear();
    return RunIngest(
        arguments_, [] { return false; }, [this](const std::string& text) { warnings_.push_back(text); });
  }
  IngestReport MustRun(const std::vector<std::string>& paths) {
    auto report = Run(paths);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return {};
    EXPECT_TRUE(report->summary.status.ok()) << report->summary.status;
    return *report;
  }
  std::vector<Document> Stored() {
    auto backend = OpenLocalBackend(arguments_.address.db, false);
    EXPECT_TRUE(backend.ok()) << backend.status();
    if (!backend.ok()) return {};
    ScrollRequest request;
    request.limit = 10'000;
    auto reply = (*backend)->Scroll("docs", request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? reply->documents : std::vector<Document>();
  }
  void ExpectEachStoredOnce(size_t count) {
    auto documents = Stored();
    EXPECT_EQ(documents.size(), count);
    for (const Document& document : documents) EXPECT_EQ(document.version, 1u) << document.id;
  }

  IngestArguments arguments_;
  std::vector<std::string> warnings_;
};

TEST_F(IngestTest, FillsACollectionAndLeavesItAloneTheSecondTime) {
  const std::string path = WriteLines("a.jsonl", 0, 300);
  EXPECT_EQ(MustRun({path}).summary.stored, 300u);
  ExpectEachStoredOnce(300);
  IngestReport again = MustRun({path});
  EXPECT_EQ(again.summary.stored + again.summary.unchanged, 0u);
  EXPECT_EQ(again.sources_done, 1u);
  EXPECT_TRUE(again.resumed);
  ExpectEachStoredOnce(300);
}

TEST_F(IngestTest, StoresOnlyWhatIsNewInAChangedFile) {
  MustRun({WriteLines("a.jsonl", 0, 300)});
  IngestReport report = MustRun({WriteLines("a.jsonl", 0, 310)});
  EXPECT_EQ(report.summary.stored, 10u);
  EXPECT_EQ(report.summary.unchanged, 300u);
  ExpectEachStoredOnce(310);
}

TEST_F(IngestTest, ComparesWhereTheJournalIsLostOrForgotten) {
  const std::string path = WriteLines("a.jsonl", 0, 50);
  MustRun({path});
  arguments_.restart = true;
  EXPECT_EQ(MustRun({path}).summary.unchanged, 50u);
  arguments_.restart = false;
  std::filesystem::remove_all(Path("db/ingest"));
  EXPECT_EQ(MustRun({path}).summary.unchanged, 50u);
  ExpectEachStoredOnce(50);
}

TEST_F(IngestTest, DoesNotBelieveAJournalOfAnotherDatabase) {
  arguments_.state = Path("elsewhere.journal");
  const std::string path = WriteLines("a.jsonl", 0, 50);
  MustRun({path});
  std::filesystem::remove_all(Path("db"));
  EXPECT_EQ(MustRun({path}).summary.stored, 50u);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("beginning anew"));
  ExpectEachStoredOnce(50);
}

TEST_F(IngestTest, IngestsAMatrixWithIds) {
  arguments_.embedder.clear();
  arguments_.dimension = 0;
  arguments_.options.spaces[0].metric = Metric::kL2;
  arguments_.ids = Write("ids.txt", "x\ny\nz\n");
  const std::string path =
      Write("m.npy", NpyHeaderBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }") +
                         Bytes<float>({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(MustRun({path}).summary.stored, 3u);
  EXPECT_EQ(MustRun({path}).sources_done, 1u);
  auto backend = OpenLocalBackend(arguments_.address.db, false);
  ASSERT_TRUE(backend.ok());
  SearchRequest request;
  request.vector = {5, 6};
  request.k = 1;
  auto reply = (*backend)->Search("docs", request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->hits.size(), 1u);
  EXPECT_EQ(reply->hits[0].document_id, "z");
  EXPECT_EQ(reply->hits[0].score, 0);
}

TEST_F(IngestTest, RefusesBeforeItStoresAnything) {
  const std::string lines = WriteLines("a.jsonl", 0, 1);
  const std::string matrix = Write("m.fbin", Bytes<uint32_t>({1, 2}) + Bytes<float>({1, 2}));
  EXPECT_THAT(std::string(Run({matrix, lines}).status().message()), HasSubstr("a matrix is ingested alone"));
  EXPECT_EQ(Run({Path("missing.jsonl")}).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(Path("nothing"));
  EXPECT_THAT(std::string(Run({Path("nothing")}).status().message()),
              HasSubstr("no .txt, .md, .html or .jsonl"));
  arguments_.ids = "ids.txt";
  EXPECT_THAT(std::string(Run({lines}).status().message()), HasSubstr("--ids is for matrices"));
  arguments_.ids.clear();
  arguments_.dimension = 0;
  EXPECT_THAT(std::string(Run({lines}).status().message()), HasSubstr("expected --dim"));
  arguments_.create = false;
  EXPECT_THAT(std::string(Run({lines}).status().message()), HasSubstr("--create makes it"));
}

TEST_F(IngestTest, SkipsWhatTheCollectionRefuses) {
  const std::string path = Write("a.jsonl",
                                 "{\"_id\":\"a\",\"vector\":[1,2]}\n{\"_id\":\"b\",\"vector\":[1,2,3]}\n"
                                 "{\"_id\":\"c\",\"vector\":[0,0]}\n{\"_id\":\"d\",\"vector\":[2,1]}\n");
  auto stopped = Run({path});
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_THAT(std::string(stopped->summary.status.message()), HasSubstr("a.jsonl:2: document \"b\""));
  arguments_.skip_bad = true;
  IngestReport report = MustRun({path});
  EXPECT_EQ(report.summary.refused, 2u);
  EXPECT_EQ(warnings_.size(), 2u);
  ExpectEachStoredOnce(2);
}

TEST(DefaultStatePath, LiesInTheDatabaseOrUnderTheUsersState) {
  EXPECT_EQ(*DefaultStatePath({"pantry", ""}, "docs"), "pantry/ingest/docs.journal");
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(*DefaultStatePath({"", "host:7614"}, "docs"), "/state/larder/ingest-host_7614-docs.journal");
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(*DefaultStatePath({"", "h:1"}, "a"), "/home/me/.local/state/larder/ingest-h_1-a.journal");
  unsetenv("HOME");
  EXPECT_FALSE(DefaultStatePath({"", "h:1"}, "a").ok());
}

}  // namespace
}  // namespace larder::tools
