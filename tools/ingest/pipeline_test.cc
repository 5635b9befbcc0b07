#include "tools/ingest/pipeline.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/ingest/fake_backend.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::HasSubstr;

class PipelineTest : public TestFiles {
 protected:
  // Lines "id text" become a .jsonl.
  std::string WriteLines(const std::string& name, int first, int count) {
    std::string text;
    for (int i = first; i < first + count; ++i)
      absl::StrAppend(&text, "{\"_id\":\"", i, "\",\"text\":\"t", i, "\"}\n");
    return Write(name, text);
  }

  // One run over what the journal says is left.
  IngestSummary Run(const std::vector<std::string>& paths, PipelineOptions options, bool skip_bad = false) {
    auto state = IngestState::Open(Path("state.journal"), {"docs", ""}, 1000, false);
    EXPECT_TRUE(state.ok()) << state.status();
    auto list = ListSources(paths);
    EXPECT_TRUE(list.ok()) << list.status();
    SourceList pending;
    for (Source source : list->sources) {
      if (auto earlier = (*state)->Find(source.path)) {
        if (earlier->done) continue;
        source.start_offset = earlier->offset;
        source.start_line = earlier->line;
      }
      pending.sources.push_back(source);
    }
    DocumentReaderOptions reading;
    reading.skip_bad = skip_bad;
    auto feed = MakeDocumentFeed(pending, reading);
    BatchWriterOptions writing;
    writing.first_backoff = absl::ZeroDuration();
    BatchWriter writer(&backend_, writing);
    Progress progress({.quiet = true});
    if ((*state)->started()) options.compare_first = [](size_t) { return 1000; };
    return Pipeline(feed.get(), &writer, state->get(), &progress, options).Run();
  }

  void ExpectEachStoredOnce(int documents) {
    auto stored = backend_.documents();
    EXPECT_EQ(stored.size(), static_cast<size_t>(documents));
    for (const auto& [id, document] : stored) EXPECT_EQ(document.version, 1u) << id;
  }

  FakeBackend backend_;
};

PipelineOptions Small() {
  PipelineOptions options;
  options.batch_documents = 7;
  options.in_flight = 3;
  return options;
}

TEST_F(PipelineTest, StoresEverythingOnce) {
  Write("d/a.md", "alone");
  WriteLines("d/b.jsonl", 0, 100);
  WriteLines("d/c.jsonl", 100, 55);
  Write("d/empty.jsonl", "\n\n");
  IngestSummary summary = Run({Path("d")}, Small());
  EXPECT_TRUE(summary.status.ok()) << summary.status;
  EXPECT_EQ(summary.stored, 156u);
  ExpectEachStoredOnce(156);
  EXPECT_EQ(Run({Path("d")}, Small()).stored, 0u);
  ExpectEachStoredOnce(156);
}

TEST_F(PipelineTest, LaterOfTwoWithOneIdWins) {
  std::string text;
  for (int i = 0; i < 200; ++i)
    absl::StrAppend(&text, "{\"_id\":\"", i % 10, "\",\"text\":\"version ", i, "\"}\n");
  PipelineOptions options = Small();
  options.batch_documents = 1;
  IngestSummary summary = Run({Write("a.jsonl", text)}, options);
  EXPECT_TRUE(summary.status.ok()) << summary.status;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(backend_.documents().at(absl::StrCat(i)).text, absl::StrCat("version ", 190 + i));
  }
}

TEST_F(PipelineTest, GoesOnAfterAnInterruptionAnywhere) {
  const std::string path = WriteLines("a.jsonl", 0, 60);
  const std::string other = WriteLines("b.jsonl", 60, 60);
  for (int round = 0; round < 200; ++round) {
    int polls = 3 + round % 40;
    PipelineOptions options = Small();
    options.in_flight = 1 + round % 3;
    absl::Mutex mutex;
    options.cancelled = [&] {
      absl::MutexLock lock(&mutex);
      return --polls < 0;
    };
    IngestSummary summary = Run({path, other}, options);
    ASSERT_TRUE(summary.status.ok()) << summary.status;
    if (!summary.interrupted) break;
  }
  Run({path, other}, Small());
  ExpectEachStoredOnce(120);
}

TEST_F(PipelineTest, GoesOnAfterACallThatFails) {
  const std::string path = WriteLines("a.jsonl", 0, 100);
  for (int fail_at = 0; fail_at < 12; ++fail_at) {
    std::deque<absl::Status> failures(fail_at % 4, absl::OkStatus());
    failures.push_back(absl::FailedPreconditionError("closed"));
    backend_.FailCalls(failures);
    IngestSummary summary = Run({path}, Small());
    if (summary.status.ok()) break;
    EXPECT_EQ(summary.status.code(), absl::StatusCode::kFailedPrecondition);
  }
  backend_.FailCalls({});
  EXPECT_TRUE(Run({path}, Small()).status.ok());
  ExpectEachStoredOnce(100);
}

TEST_F(PipelineTest, StopsAtARefusedDocumentAndGoesOnWhenItIsMended) {
  const std::string path = WriteLines("a.jsonl", 0, 50);
  backend_.Refuse("20", absl::InvalidArgumentError("too odd"));
  IngestSummary summary = Run({path}, Small());
  EXPECT_THAT(std::string(summary.status.message()), HasSubstr("a.jsonl:21: document \"20\": too odd"));
  EXPECT_EQ(summary.refused, 1u);
  EXPECT_EQ(Run({path}, Small()).refused, 1u);  // still in the way
  backend_.Refuse("20", absl::UnavailableError("once"));
  EXPECT_TRUE(Run({path}, Small()).status.ok());
  ExpectEachStoredOnce(50);
}

TEST_F(PipelineTest, SkipsRefusedAndBadDocumentsWhenTold) {
  WriteLines("d/a.jsonl", 0, 50);
  Write("d/b.jsonl", "bad\n{\"_id\":\"x\",\"text\":\"t\"}\n");
  backend_.Refuse("20", absl::InvalidArgumentError("too odd"));
  PipelineOptions options = Small();
  options.skip_refused = true;
  std::vector<std::string> told;
  options.on_refused = [&told](const absl::Status& status) { told.emplace_back(status.message()); };
  IngestSummary summary = Run({Path("d")}, options, /*skip_bad=*/true);
  EXPECT_TRUE(summary.status.ok()) << summary.status;
  EXPECT_EQ(summary.stored, 50u);
  EXPECT_EQ(summary.refused, 1u);
  EXPECT_EQ(summary.skipped, 1u);
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(Run({Path("d")}, options, true).refused, 0u);  // done
}

TEST_F(PipelineTest, StoresWhatComesBeforeABadLine) {
  std::string text;
  for (int i = 0; i < 10; ++i) absl::StrAppend(&text, "{\"_id\":\"", i, "\",\"text\":\"t\"}\n");
  const std::string path = Write("a.jsonl", text + "bad\n");
  IngestSummary summary = Run({path}, Small());
  EXPECT_THAT(std::string(summary.status.message()), HasSubstr("a.jsonl:11"));
  ExpectEachStoredOnce(10);
}

TEST_F(PipelineTest, ClosesABatchByItsBytes) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&text, "{\"_id\":\"", i, "\",\"text\":\"", std::string(1000, 'x'), "\"}\n");
  }
  PipelineOptions options;
  options.batch_bytes = 4000;
  EXPECT_EQ(Run({Write("a.jsonl", text)}, options).stored, 20u);
  EXPECT_EQ(backend_.upsert_calls(), 5);
}

}  // namespace
}  // namespace larder::tools
