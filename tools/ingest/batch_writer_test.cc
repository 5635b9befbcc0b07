#include "tools/ingest/batch_writer.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/ingest/fake_backend.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<SourcedDocument> Batch(const std::vector<std::string>& ids) {
  std::vector<SourcedDocument> batch;
  for (const std::string& id : ids) {
    SourcedDocument sourced;
    sourced.document.id = id;
    sourced.document.text = "text of " + id;
    sourced.source = "corpus.jsonl";
    sourced.line = batch.size() + 1;
    batch.push_back(std::move(sourced));
  }
  return batch;
}

BatchWriterOptions Fast() {
  BatchWriterOptions options;
  options.collection = "docs";
  options.first_backoff = absl::ZeroDuration();
  return options;
}

TEST(BatchWriter, StoresABatch) {
  FakeBackend backend;
  auto outcome = BatchWriter(&backend, Fast()).Write(Batch({"a", "b"}), false);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->stored, 2u);
  EXPECT_EQ(outcome->chunks, 2u);
  EXPECT_EQ(backend.documents().at("b").text, "text of b");
}

TEST(BatchWriter, LeavesWhatIsStoredUnchanged) {
  FakeBackend backend;
  BatchWriter writer(&backend, Fast());
  ASSERT_TRUE(writer.Write(Batch({"a", "b"}), false).ok());
  auto batch = Batch({"a", "b", "c"});
  batch[1].document.title = "new";
  auto outcome = writer.Write(std::move(batch), true);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->unchanged, 1u);
  EXPECT_EQ(outcome->stored, 2u);
  EXPECT_EQ(backend.documents().at("a").version, 1u);
  EXPECT_EQ(backend.documents().at("b").version, 2u);
  outcome = writer.Write(Batch({"a"}), true);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->unchanged, 1u);
}

TEST(BatchWriter, NamesRefusedDocuments) {
  FakeBackend backend;
  backend.Refuse("b", absl::InvalidArgumentError("too odd"));
  auto outcome = BatchWriter(&backend, Fast()).Write(Batch({"a", "b", "c"}), false);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->stored, 2u);
  ASSERT_EQ(outcome->refused.size(), 1u);
  EXPECT_EQ(outcome->refused[0].code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(outcome->refused[0].message()),
              HasSubstr("corpus.jsonl:2: document \"b\": too odd"));
}

TEST(BatchWriter, TriesAgainWhatMayPass) {
  FakeBackend backend;
  backend.FailCalls({absl::UnavailableError("away"), absl::DeadlineExceededError("slow")});
  auto outcome = BatchWriter(&backend, Fast()).Write(Batch({"a"}), false);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(backend.upsert_calls(), 3);
}

TEST(BatchWriter, TriesAgainOnlyTheDocumentsThatFailed) {
  FakeBackend backend;
  backend.Refuse("b", absl::UnavailableError("the embedder is away"));
  auto outcome = BatchWriter(&backend, Fast()).Write(Batch({"a", "b", "c"}), false);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->stored, 3u);
  EXPECT_THAT(backend.order(), ElementsAre("a", "c", "b"));
}

TEST(BatchWriter, GivesUpInTheEnd) {
  FakeBackend backend;
  backend.FailCalls(std::deque<absl::Status>(20, absl::UnavailableError("away")));
  EXPECT_EQ(BatchWriter(&backend, Fast()).Write(Batch({"a"}), false).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(backend.upsert_calls(), 8);
}

TEST(BatchWriter, DoesNotTryAgainWhatStays) {
  for (absl::Status failure : {absl::FailedPreconditionError("closed"),
                               absl::ResourceExhaustedError("disk full"), absl::DataLossError("rotten")}) {
    FakeBackend backend;
    backend.FailCalls({failure});
    EXPECT_EQ(BatchWriter(&backend, Fast()).Write(Batch({"a"}), false).status(), failure);
    EXPECT_EQ(backend.upsert_calls(), 1);
  }
  FakeBackend busy;
  busy.FailCalls({absl::ResourceExhaustedError("busy")});
  BatchWriterOptions options = Fast();
  options.retry_exhausted = true;
  EXPECT_TRUE(BatchWriter(&busy, options).Write(Batch({"a"}), false).ok());
}

TEST(BatchWriter, StopsWaitingWhenCancelled) {
  FakeBackend backend;
  backend.FailCalls(std::deque<absl::Status>(20, absl::UnavailableError("away")));
  BatchWriterOptions options = Fast();
  options.first_backoff = absl::Hours(1);
  options.cancelled = [] { return true; };
  EXPECT_FALSE(BatchWriter(&backend, options).Write(Batch({"a"}), false).ok());
  EXPECT_EQ(backend.upsert_calls(), 1);
}

TEST(SameDocument, ComparesWhatAUserGives) {
  Document given;
  given.id = "a";
  given.metadata = {{"x", 1}};
  Document stored = given;
  stored.version = 3;
  stored.chunks.resize(2);  // cut by the collection
  EXPECT_TRUE(SameDocument(given, stored));
  stored.metadata["x"] = 2;
  EXPECT_FALSE(SameDocument(given, stored));
  stored = given;
  given.chunks.resize(1);
  given.chunks[0].vectors["v"] = {1, 2};
  EXPECT_FALSE(SameDocument(given, stored));
  stored.chunks.resize(1);
  stored.chunks[0].vectors = {{"v", {1, 2}}, {"w", {3}}};  // w was embedded
  EXPECT_TRUE(SameDocument(given, stored));
  stored.chunks[0].vectors["v"][1] = 2.5;
  EXPECT_FALSE(SameDocument(given, stored));
}

}  // namespace
}  // namespace larder::tools
