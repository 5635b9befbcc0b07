// Collections, documents and search: a real client, a real server, a real socket. What the service
// answers is compared with what the library answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/served_database.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DocumentsServiceTest : public testing::ServedDatabase {
 protected:
  void SetUp() override {
    testing::ServedDatabase::SetUp();
    Serve();
    const auto created = client_->CreateCollection("docs", PlainOptions());
    ASSERT_TRUE(created.ok()) << created.status();
  }

  void UpsertNumbered(int count) {
    std::vector<Document> documents;
    for (int i = 0; i < count; ++i) documents.push_back(NumberedDocument(i));
    const auto results = client_->Upsert("docs", documents);
    ASSERT_TRUE(results.ok()) << results.status();
    for (const UpsertResult& result : *results) ASSERT_EQ(result.error, "") << result.id;
  }

  Collection Local() { return *database_->GetCollection("docs"); }
};

TEST_F(DocumentsServiceTest, CollectionsComeAndGo) {
  CollectionOptions options = PlainOptions();
  options.spaces[0].metric = Metric::kDot;
  options.spaces[0].hnsw.m = 24;
  options.chunking.max_tokens = 64;
  const auto info = client_->CreateCollection("other", options);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "other");
  ASSERT_EQ(info->spaces.size(), 1u);
  EXPECT_EQ(info->spaces[0].dimension, 4u);
  EXPECT_EQ(info->spaces[0].metric, Metric::kDot);

  const auto kept = client_->Options("other");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->embedder, EmbedderKind::kNone);
  EXPECT_EQ(kept->spaces[0].hnsw.m, 24u);
  EXPECT_EQ(kept->chunking.max_tokens, 64u);
  EXPECT_THAT(*client_->ListCollections(), ::testing::UnorderedElementsAre("docs", "other"));

  EXPECT_EQ(client_->CreateCollection("other", options).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(client_->DropCollection("other").ok());
  EXPECT_THAT(*client_->ListCollections(), ElementsAre("docs"));
  EXPECT_EQ(client_->Info("other").status(), database_->GetCollection("other").status());
}

TEST_F(DocumentsServiceTest, DocumentsAreKeptWhole) {
  Document sent = NumberedDocument(1);
  sent.title = "Küche";
  sent.uri = "file:///1";
  sent.media_type = "text/markdown";
  sent.metadata["tags"] = MetadataValue(std::vector<Scalar>{std::string("a"), int64_t{2}});
  const auto result = client_->Upsert("docs", sent);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 1u);
  EXPECT_EQ(result->chunks, 1u);
  EXPECT_EQ(client_->Upsert("docs", sent, WriteOptions{.sync = false})->version, 2u);

  const auto got = client_->Get("docs", sent.id, "", true);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->title, sent.title);
  EXPECT_EQ(got->text, sent.text);
  EXPECT_EQ(got->uri, sent.uri);
  EXPECT_EQ(got->media_type, sent.media_type);
  EXPECT_EQ(got->metadata, sent.metadata);
  EXPECT_EQ(got->version, 2u);
  ASSERT_EQ(got->chunks.size(), 1u);
  EXPECT_EQ(got->chunks[0].text, sent.chunks[0].text);
  ASSERT_EQ(got->chunks[0].vectors.at("default").size(), 4u);

  const auto chunks = client_->Chunks("docs", sent.id);
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  ASSERT_EQ(chunks->size(), 1u);
  const Chunk expected = Local().Chunks(sent.id)->at(0);
  EXPECT_EQ(chunks->at(0).vid, expected.vid);
  EXPECT_EQ(chunks->at(0).text, expected.text);
  EXPECT_EQ(chunks->at(0).metadata, expected.metadata);
  EXPECT_EQ(client_->Get("docs", "absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DocumentsServiceTest, OneBadDocumentDoesNotStopTheOthers) {
  Document wrong = NumberedDocument(2);
  wrong.chunks[0].vectors["default"] = {1.0f, 2.0f};
  const std::vector<Document> batch = {NumberedDocument(1), wrong, NumberedDocument(3)};
  const auto results = client_->Upsert("docs", batch);
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 3u);
  EXPECT_EQ(results->at(0).error, "");
  EXPECT_EQ(results->at(1).error_code, static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_NE(results->at(1).error, "");
  EXPECT_EQ(results->at(2).error, "");
  EXPECT_EQ(*client_->Count("docs"), 2u);
  EXPECT_EQ(client_->Upsert("docs", wrong).status(), Local().Upsert(wrong).status());
}

TEST_F(DocumentsServiceTest, SearchAnswersWhatTheLibraryAnswers) {
  UpsertNumbered(50);
  SearchRequest request;
  request.vector = {1.0f, 0.2f, 0.5f, -0.25f};
  request.k = 7;
  request.filter = "n < 40 and even = true";
  request.include_metadata = request.include_vector = request.timings = true;
  const auto reply = client_->Search("docs", request);
  const auto expected = Local().Search(request);
  ASSERT_TRUE(reply.ok() && expected.ok()) << reply.status() << expected.status();
  EXPECT_EQ(reply->plan, expected->plan);
  EXPECT_EQ(reply->matches, 20u);
  EXPECT_EQ(reply->timings.size(), expected->timings.size());
  ASSERT_EQ(reply->hits.size(), 7u);
  for (size_t i = 0; i < 7; ++i) {
    const Hit& hit = reply->hits[i];
    const Hit& local = expected->hits[i];
    EXPECT_EQ(hit.vid, local.vid);
    EXPECT_EQ(hit.document_id, local.document_id);
    EXPECT_EQ(hit.score, local.score);
    EXPECT_EQ(hit.text, local.text);
    EXPECT_EQ(hit.metadata, local.metadata);
    EXPECT_EQ(hit.vector, local.vector);
  }
  EXPECT_EQ(reply->hits[0].document_id, "doc1020");
}

TEST_F(DocumentsServiceTest, RecallIsAskedForAndReported) {
  UpsertNumbered(50);
  SearchRequest request;
  request.vector = {1.0f, 0.2f, 0.5f, -0.25f};
  request.target_recall = 0.9;
  const auto reply = client_->Search("docs", request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  const auto expected = Local().Search(request);
  EXPECT_EQ(reply->ef, expected->ef);
  EXPECT_EQ(reply->recall_estimate, expected->recall_estimate);
  request.ef = 20;
  EXPECT_EQ(client_->Search("docs", request).status(), Local().Search(request).status());
  EXPECT_TRUE(absl::IsInvalidArgument(client_->Search("docs", request).status()));
  const VectorSpaceInfo info = client_->Info("docs")->spaces.at(0), local = Local().Info().spaces.at(0);
  EXPECT_EQ(info.recall_estimate, local.recall_estimate);
  EXPECT_EQ(info.recall_points, local.recall_points);
}

TEST_F(DocumentsServiceTest, TenantsAreKeptApart) {
  Document document = NumberedDocument(1);
  document.tenant = "a";
  ASSERT_TRUE(client_->Upsert("docs", document).ok());
  EXPECT_EQ(*client_->Count("docs", "", "a"), 1u);
  EXPECT_EQ(*client_->Count("docs", "", "b"), 0u);
  EXPECT_FALSE(client_->Get("docs", document.id, "b").ok());
  EXPECT_EQ(client_->Get("docs", document.id, "a")->tenant, "a");
  SearchRequest request;
  request.vector = {1, 0, 0, 0};
  request.tenant = "b";
  EXPECT_THAT(client_->Search("docs", request)->hits, IsEmpty());
  EXPECT_FALSE(*client_->Delete("docs", document.id, "b"));
  EXPECT_TRUE(*client_->Delete("docs", document.id, "a"));
}

TEST_F(DocumentsServiceTest, ScrollsCountsAndDeletes) {
  UpsertNumbered(25);
  ScrollRequest request;
  request.limit = 10;
  request.filter = "n >= 2";
  request.include_text = true;
  std::vector<std::string> ids;
  do {
    const auto page = client_->Scroll("docs", request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const Document& document : page->documents) ids.push_back(document.id);
    request.cursor = page->cursor;
  } while (!request.cursor.empty() && ids.size() < 100);
  ASSERT_EQ(ids.size(), 23u);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(ids.front(), "doc1002");

  EXPECT_EQ(*client_->Count("docs"), 25u);
  EXPECT_EQ(*client_->Count("docs", "even = true"), 13u);
  EXPECT_EQ(*client_->DeleteWhere("docs", "n < 5"), 5u);
  EXPECT_EQ(*client_->Count("docs"), 20u);
  EXPECT_TRUE(*client_->Delete("docs", "doc1005"));
  EXPECT_FALSE(*client_->Delete("docs", "doc1005"));
  EXPECT_EQ(*client_->Count("docs"), 19u);
}

struct BadRequest {
  const char* name;
  absl::StatusCode code;
  std::function<absl::Status(Client&)> remote;
  std::function<absl::Status(Collection&)> local;
};

SearchRequest Search(std::vector<float> vector, std::string filter = "", uint32_t k = 10) {
  SearchRequest request;
  request.vector = std::move(vector);
  request.filter = std::move(filter);
  request.k = k;
  return request;
}

TEST_F(DocumentsServiceTest, ErrorsArriveAsTheLibraryPutsThem) {
  using enum absl::StatusCode;
  const auto search = [](const char* name, SearchRequest request) {
    return BadRequest{name, kInvalidArgument,
                      [request](Client& client) { return client.Search("docs", request).status(); },
                      [request](Collection& docs) { return docs.Search(request).status(); }};
  };
  const BadRequest cases[] = {
      search("wrong dimension", Search({1, 2, 3})),
      search("not a number", Search({1, 2, 3, std::nanf("")})),
      search("zero vector", Search({0, 0, 0, 0})),
      search("bad filter", Search({1, 2, 3, 4}, "n >= ")),
      search("k of zero", Search({1, 2, 3, 4}, "", 0)),
      search("k too large", Search({1, 2, 3, 4}, "", 10'001)),
      search("neither text nor vector", Search({})),
      {"count with a bad filter", kInvalidArgument,
       [](Client& client) { return client.Count("docs", "n = = 1").status(); },
       [](Collection& docs) { return docs.Count("n = = 1").status(); }},
      {"delete without a filter", kInvalidArgument,
       [](Client& client) { return client.DeleteWhere("docs", "").status(); },
       [](Collection& docs) { return docs.DeleteWhere("").status(); }},
      {"absent document", kNotFound, [](Client& client) { return client.Get("docs", "absent").status(); },
       [](Collection& docs) { return docs.Get("absent").status(); }},
  };
  Collection docs = Local();
  for (const BadRequest& bad : cases) {
    SCOPED_TRACE(bad.name);
    const absl::Status remote = bad.remote(*client_);
    EXPECT_EQ(remote.code(), bad.code) << remote;
    EXPECT_EQ(remote, bad.local(docs));
  }
  EXPECT_THAT(std::string(client_->Count("docs", "n >= ").status().message()), HasSubstr("5"));
  EXPECT_EQ(client_->Count("absent").status(), database_->GetCollection("absent").status());
  EXPECT_EQ(client_->Count("absent").status().code(), kNotFound);
}

TEST_F(DocumentsServiceTest, RefusesEmbeddingEndpointsUnlessAllowed) {
  CollectionOptions options;
  options.embedder = EmbedderKind::kHttp;
  options.http.url = "http://127.0.0.1:9/v1/embeddings";
  options.http.model = "m";
  options.http.api_key_env = "HOME";
  const absl::Status refused = client_->CreateCollection("http", options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--allow-http-embedder"));
  EXPECT_THAT(*client_->ListCollections(), ElementsAre("docs"));
}

TEST_F(DocumentsServiceTest, StatsVerifyAndCompact) {
  UpsertNumbered(10);
  const auto stats = client_->Stats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->collections, 1u);
  EXPECT_EQ(stats->documents, 10u);
  EXPECT_EQ(stats->chunks, 10u);
  const auto report = client_->Verify();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_GT(report->records, 0u);
  EXPECT_TRUE(client_->Compact().ok());
  EXPECT_EQ(*client_->Count("docs"), 10u);
}

TEST_F(DocumentsServiceTest, MakesNoBackupsWithoutARoot) {
  EXPECT_EQ(client_->Backup("a").status().code(), absl::StatusCode::kFailedPrecondition);
}

class BackupServiceTest : public testing::ServedDatabase {};

TEST_F(BackupServiceTest, KeepsBackupsUnderItsRoot) {
  const std::string root = directory_ / "backups";
  std::filesystem::create_directory(root);
  server_options_.backup_root = root;
  Serve();
  ASSERT_TRUE(client_->CreateCollection("docs", PlainOptions()).ok());
  ASSERT_TRUE(client_->Upsert("docs", NumberedDocument(1)).ok());
  const auto made = client_->Backup("nightly");
  ASSERT_TRUE(made.ok()) << made.status();
  const auto listed = client_->ListBackups("nightly");
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->at(0).id, made->id);
  EXPECT_EQ(listed->at(0).commit, made->commit);
  EXPECT_EQ(client_->Backup("../elsewhere").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "elsewhere"));

  const std::string restored = directory_ / "restored";
  ASSERT_TRUE(Database::Restore(root + "/nightly", restored).ok());
  auto copy = Database::Open(restored);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(*(*copy)->GetCollection("docs")->Count(), 1u);
}

}  // namespace
}  // namespace larder
