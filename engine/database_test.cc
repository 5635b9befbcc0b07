#include "larder/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>
#include <thread>

#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ChunkOf;
using testing::DocumentOf;
using testing::RandomVector;
using testing::TempDir;
using testing::VectorsOnly;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class DatabaseTest : public ::testing::Test {
 protected:
  void Open() {
    OpenOptions options;
    options.create_if_missing = true;
    options.clock = [this] { return absl::FromUnixMillis(now_ms_.load()); };
    auto db = Database::Open(dir_ / "db", options);
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
  }
  void Reopen() {
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
    Open();
  }
  Collection Create(const std::string& name, const CollectionOptions& options) {
    auto collection = db_->CreateCollection(name, options);
    EXPECT_TRUE(collection.ok()) << collection.status();
    return *collection;
  }
  void SetUp() override { Open(); }
  void TearDown() override {
    if (db_ == nullptr) return;
    const auto report = db_->Verify();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->problems, ElementsAre());
  }

  static std::vector<std::string> Ids(const absl::StatusOr<SearchReply>& reply) {
    std::vector<std::string> ids;
    EXPECT_TRUE(reply.ok()) << reply.status();
    if (reply.ok()) {
      for (const Hit& hit : reply->hits) ids.push_back(hit.document_id);
    }
    return ids;
  }
  static SearchRequest Near(std::vector<float> vector, uint32_t k = 10, std::string filter = "") {
    SearchRequest request;
    request.vector = std::move(vector);
    request.k = k;
    request.filter = std::move(filter);
    return request;
  }

  TempDir dir_;
  std::atomic<int64_t> now_ms_{1'700'000'000'000};
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseTest, FindsWhatWasStoredAlsoAfterReopening) {
  Collection docs = Create("docs", VectorsOnly(2));
  for (const auto& [id, vector] : std::vector<std::pair<std::string, std::vector<float>>>{
           {"east", {1, 0}}, {"north", {0, 1}}, {"north-east", {1, 1}}}) {
    ASSERT_TRUE(docs.Upsert(DocumentOf(id, vector)).ok());
  }
  EXPECT_THAT(Ids(docs.Search(Near({1, 0.1f}))), ElementsAre("east", "north-east", "north"));
  Reopen();
  docs = *db_->GetCollection("docs");
  const auto reply = docs.Search(Near({1, 0.1f}, 2));
  EXPECT_THAT(Ids(reply), ElementsAre("east", "north-east"));
  EXPECT_NEAR(reply->hits[0].score, 0.99504f, 1e-4);
  EXPECT_EQ(reply->hits[0].text, "text of east");
  EXPECT_EQ(reply->matches, 3u);
}

TEST_F(DatabaseTest, UpsertReplacesAndCountsVersions) {
  Collection docs = Create("docs", VectorsOnly(2));
  EXPECT_EQ(docs.Upsert(DocumentOf("a", {1, 0}, {{"n", 1}}))->version, 1u);
  EXPECT_EQ(docs.Upsert(DocumentOf("a", {0, 1}, {{"n", 2}}))->version, 2u);
  EXPECT_EQ(*docs.Count(), 1u);
  EXPECT_EQ(*docs.Count("n = 1"), 0u);
  EXPECT_EQ(*docs.Count("n = 2"), 1u);
  EXPECT_THAT(Ids(docs.Search(Near({1, 0}))), ElementsAre("a"));
  EXPECT_NEAR(docs.Search(Near({1, 0}))->hits[0].score, 0, 1e-6);
  const auto document = docs.Get("a", "", true);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->version, 2u);
  EXPECT_THAT(document->chunks.at(0).vectors.at("default"), ElementsAre(0.0f, 1.0f));
}

TEST_F(DatabaseTest, BatchSaysWhichFailedAndKeepsTheOthers) {
  Collection docs = Create("docs", VectorsOnly(2));
  std::vector<Document> batch = {DocumentOf("good", {1, 0}), DocumentOf("", {1, 0}),
                                 DocumentOf("nan", {kNan, 0}), DocumentOf("zero", {0, 0}),
                                 DocumentOf("wide", {1, 2, 3}), DocumentOf("\xff\xfe", {1, 0}),
                                 DocumentOf(std::string(1025, 'x'), {1, 0}), DocumentOf("good", {0, 1})};
  const auto results = docs.Upsert(batch);
  ASSERT_TRUE(results.ok()) << results.status();
  const int invalid = static_cast<int>(absl::StatusCode::kInvalidArgument);
  std::vector<int> codes;
  for (const auto& result : *results) codes.push_back(result.error_code);
  EXPECT_THAT(codes, ElementsAre(0, invalid, invalid, invalid, invalid, invalid, invalid, 0));
  EXPECT_THAT((*results)[4].error, HasSubstr("3"));
  EXPECT_THAT((*results)[5].error, HasSubstr("invalid UTF-8 at byte 0"));
  EXPECT_EQ((*results)[7].version, 2u) << "the last of two equal ids wins";
  EXPECT_EQ(*docs.Count(), 1u);
}

TEST_F(DatabaseTest, RefusedRequestsPersistNothing) {
  Collection docs = Create("docs", VectorsOnly(2));
  const uint64_t before = db_->Stats()->commit;
  EXPECT_EQ(docs.Upsert(DocumentOf("a", {kNan, 1})).status().code(), absl::StatusCode::kInvalidArgument);
  Document nothing;
  nothing.id = "empty";
  EXPECT_EQ(docs.Upsert(nothing).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({1, 2, 3})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({kNan, 1})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({0, 0})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({1, 0}, 0)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({1, 0}, 10'001)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.Search(Near({1, 0}, 1, "year >")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(docs.DeleteWhere("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(db_->CreateCollection("Docs", VectorsOnly(2)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(db_->CreateCollection("docs", VectorsOnly(2)).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(db_->GetCollection("none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db_->Stats()->commit, before);
}

TEST_F(DatabaseTest, FilterGivesExactlyTheMatches) {
  for (IndexKind kind : {IndexKind::kFlat, IndexKind::kHnsw}) {
    Collection docs = Create(kind == IndexKind::kFlat ? "flat" : "hnsw", VectorsOnly(8, kind));
    std::mt19937_64 random(7);
    std::vector<Document> batch;
    for (int i = 0; i < 600; ++i) {
      batch.push_back(DocumentOf("d" + std::to_string(i), RandomVector(8, random),
                                 {{"n", i}, {"even", i % 2 == 0}, {"name", "name-" + std::to_string(i % 7)}}));
    }
    ASSERT_TRUE(docs.Upsert(batch).ok());
    for (const auto& [filter, matches] : std::vector<std::pair<std::string, uint64_t>>{
             {"n < 3", 3}, {"n >= 590 and even = true", 5}, {"name prefix \"name-3\"", 86}, {"n = 5.0", 1},
             {"n in (1, 2, 700)", 2}, {"not (n >= 1)", 1}, {"missing != 3", 600}, {"exists(missing)", 0}}) {
      const auto reply = docs.Search(Near(RandomVector(8, random), 100, filter));
      ASSERT_TRUE(reply.ok()) << filter << ": " << reply.status();
      EXPECT_EQ(reply->matches, matches) << filter;
      EXPECT_EQ(reply->hits.size(), std::min<uint64_t>(100, matches)) << filter;
    }
    EXPECT_EQ(*docs.DeleteWhere("even = true"), 300u);
    EXPECT_EQ(*docs.Count(), 300u);
    EXPECT_EQ(docs.Search(Near(RandomVector(8, random), 400))->hits.size(), 300u);
  }
}

TEST_F(DatabaseTest, TenantsSeeOnlyTheirOwn) {
  Collection docs = Create("docs", VectorsOnly(2));
  for (const char* tenant : {"", "red", "blue"}) {
    Document document = DocumentOf("same-id", {1, 0}, {{"of", tenant}});
    document.tenant = tenant;
    ASSERT_TRUE(docs.Upsert(document).ok());
  }
  for (const char* tenant : {"", "red", "blue"}) {
    SearchRequest request = Near({1, 0});
    request.tenant = tenant;
    request.include_metadata = true;
    const auto reply = docs.Search(request);
    ASSERT_EQ(Ids(reply).size(), 1u) << tenant;
    EXPECT_EQ(reply->hits[0].metadata.at("of"), MetadataValue(tenant));
    EXPECT_EQ(*docs.Count("", tenant), 1u);
  }
  EXPECT_TRUE(*docs.Delete("same-id", "red"));
  EXPECT_FALSE(*docs.Delete("same-id", "red"));
  EXPECT_TRUE(docs.Get("same-id", "blue").ok());
  EXPECT_EQ(docs.Get("same-id", "red").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DatabaseTest, ScrollIsInOrderAndResumesAfterReopening) {
  Collection docs = Create("docs", VectorsOnly(2));
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(docs.Upsert(DocumentOf("d" + std::to_string(100 + i), {1, 0}, {{"n", i}})).ok());
  }
  ScrollRequest request;
  request.limit = 10;
  request.filter = "n >= 2";
  std::vector<std::string> seen;
  for (int page = 0; page < 3; ++page) {
    const auto reply = docs.Scroll(request);
    ASSERT_TRUE(reply.ok()) << reply.status();
    for (const Document& document : reply->documents) seen.push_back(document.id);
    EXPECT_EQ(reply->cursor.empty(), page == 2);
    request.cursor = reply->cursor;
    Reopen();
    docs = *db_->GetCollection("docs");
  }
  ASSERT_EQ(seen.size(), 23u);
  EXPECT_EQ(seen.front(), "d102");
  EXPECT_EQ(seen.back(), "d124");
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  request.cursor = "nonsense";
  EXPECT_EQ(docs.Scroll(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DatabaseTest, ExpiredDocumentsAreGoneFromEverything) {
  Collection docs = Create("docs", VectorsOnly(2));
  Document soon = DocumentOf("soon", {1, 0}), late = DocumentOf("late", {1, 0});
  soon.expires_at_ms = now_ms_ + 1000;
  late.expires_at_ms = now_ms_ + 1'000'000;
  ASSERT_TRUE(docs.Upsert(soon).ok());
  ASSERT_TRUE(docs.Upsert(late).ok());
  EXPECT_EQ(*docs.Count(), 2u);
  now_ms_ += 1000;
  EXPECT_THAT(Ids(docs.Search(Near({1, 0}))), ElementsAre("late"));
  EXPECT_EQ(docs.Get("soon").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*docs.Count(), 1u);
  now_ms_ += 1'000'000;
  Reopen();
  docs = *db_->GetCollection("docs");
  EXPECT_THAT(Ids(docs.Search(Near({1, 0}))), ElementsAre());
}

TEST_F(DatabaseTest, AutoGrowsFromFlatIntoHnswWithoutLosingAny) {
  Collection docs = Create("docs", VectorsOnly(8, IndexKind::kAuto));
  std::mt19937_64 random(3);
  for (int i = 0; i < 12; ++i) {
    std::vector<Document> batch;
    for (int j = 0; j < 500; ++j) batch.push_back(DocumentOf("d" + std::to_string(i * 500 + j), RandomVector(8, random)));
    ASSERT_TRUE(docs.Upsert(batch).ok());
    if (i == 0) {
      EXPECT_EQ(docs.Info().spaces[0].serving, IndexKind::kFlat);
    }
  }
  EXPECT_EQ(docs.Info().spaces[0].serving, IndexKind::kHnsw);
  EXPECT_EQ(docs.Info().spaces[0].vectors, 6000u);
  SearchRequest request = Near(RandomVector(8, random), 10);
  const auto graph = docs.Search(request);
  EXPECT_EQ(graph->plan, "graph");
  request.exact = true;
  const auto exact = docs.Search(request);
  EXPECT_EQ(exact->plan, "matches");
  EXPECT_EQ(Ids(graph), Ids(exact));
  Reopen();
  docs = *db_->GetCollection("docs");
  EXPECT_EQ(docs.Info().spaces[0].serving, IndexKind::kHnsw);
  EXPECT_EQ(Ids(docs.Search(request)), Ids(exact));
}

TEST_F(DatabaseTest, DamagedOrMissingSnapshotsAreRebuilt) {
  Collection docs = Create("docs", VectorsOnly(4, IndexKind::kHnsw));
  std::mt19937_64 random(5);
  std::vector<Document> batch;
  for (int i = 0; i < 300; ++i) batch.push_back(DocumentOf("d" + std::to_string(i), RandomVector(4, random)));
  ASSERT_TRUE(docs.Upsert(batch).ok());
  SearchRequest request = Near(RandomVector(4, random), 20);
  const auto expected = Ids(docs.Search(request));
  for (const char* name : {"directory", "space-0.hnsw"}) {
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
    int damaged = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "db/index")) {
      if (entry.path().filename() != name) continue;
      std::filesystem::resize_file(entry.path(), entry.file_size() - 1);
      ++damaged;
    }
    EXPECT_EQ(damaged, 1) << name;
    Open();
    docs = *db_->GetCollection("docs");
    EXPECT_EQ(Ids(docs.Search(request)), expected) << name;
    ASSERT_TRUE(docs.Upsert(DocumentOf("again", {1, 2, 3, 4})).ok());  // so that closing saves anew
    ASSERT_TRUE(docs.Delete("again").ok());
  }
}

TEST_F(DatabaseTest, DroppedCollectionsAnswerAndLeaveNothing) {
  Collection docs = Create("docs", VectorsOnly(2));
  ASSERT_TRUE(docs.Upsert(DocumentOf("a", {1, 0})).ok());
  ASSERT_TRUE(db_->DropCollection("docs").ok());
  EXPECT_EQ(docs.Search(Near({1, 0})).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(db_->DropCollection("docs").code(), absl::StatusCode::kNotFound);
  docs = Create("docs", VectorsOnly(2));
  EXPECT_EQ(*docs.Count(), 0u);
  EXPECT_EQ(db_->Stats()->chunks, 0u);
}

TEST_F(DatabaseTest, ClosedHandlesRefuse) {
  Collection docs = Create("docs", VectorsOnly(2));
  ASSERT_TRUE(db_->Close().ok());
  EXPECT_EQ(docs.Upsert(DocumentOf("a", {1, 0})).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(db_->GetCollection("docs").status().code(), absl::StatusCode::kFailedPrecondition);
  db_.reset();
  Open();
}

TEST_F(DatabaseTest, ReadersAndWritersTogether) {
  Collection docs = Create("docs", VectorsOnly(8, IndexKind::kHnsw));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 2; ++writer) {
    threads.emplace_back([&, writer] {
      std::mt19937_64 random(writer);
      for (int i = 0; i < 200; ++i) {
        const std::string id = "d" + std::to_string(random() % 50);
        if (random() % 4 == 0) {
          EXPECT_TRUE(docs.Delete(id).ok());
        } else {
          EXPECT_TRUE(docs.Upsert(DocumentOf(id, RandomVector(8, random))).ok());
        }
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937_64 random(99);
    while (!stop) {
      const auto reply = docs.Search(Near(RandomVector(8, random), 5));
      ASSERT_TRUE(reply.ok()) << reply.status();
      std::set<uint64_t> vids;
      for (const Hit& hit : reply->hits) vids.insert(hit.vid);
      EXPECT_EQ(vids.size(), reply->hits.size());
    }
  });
  threads[0].join();
  threads[1].join();
  stop = true;
  threads[2].join();
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(docs.Info().spaces[0].tombstones, 0u);
}

TEST_F(DatabaseTest, BackupRestoresTheMomentItWasTaken) {
  Collection docs = Create("docs", VectorsOnly(2));
  ASSERT_TRUE(docs.Upsert(DocumentOf("a", {1, 0})).ok());
  const auto backup = db_->Backup(dir_ / "backups");
  ASSERT_TRUE(backup.ok()) << backup.status();
  ASSERT_TRUE(docs.Upsert(DocumentOf("b", {0, 1})).ok());
  EXPECT_EQ(Database::Restore(dir_ / "backups", dir_ / "db").code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Database::Restore(dir_ / "backups", dir_ / "restored").ok());
  auto restored = Database::Open(dir_ / "restored");
  ASSERT_TRUE(restored.ok()) << restored.status();
  const auto copy = (*restored)->GetCollection("docs");
  EXPECT_THAT(Ids(copy->Search(Near({0, 1}))), ElementsAre("a"));
  EXPECT_THAT((*restored)->Verify()->problems, ElementsAre());
}

}  // namespace
}  // namespace larder
