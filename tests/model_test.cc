// Random operations with restarts against an in-memory model: get, count, filter and exact nearest
// neighbours must be equal, and min(k, matches) hits come back from a graph too.
//   LARDER_MODEL_OPS=200000 model_test    the longer run
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <set>

#include "larder/database.h"
#include "tests/support/documents.h"
#include "tests/support/model.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

constexpr uint32_t kDimension = 6;
const std::vector<std::string> kTenants = {"", "red", "blue"};
const std::vector<std::string> kFilters = {"", "n < 10", "n >= 90 or color = \"red\"", "not color in (\"red\", \"blue\")",
                                           "tags = \"a\" and n != 50", "exists(missing)", "color prefix \"gr\""};

class ModelRun {
 public:
  explicit ModelRun(uint64_t seed) : random_(seed) { Open(); }
  void Run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      if (random_() % 1000 == 0) Restart();
      Step();
    }
    Restart();
    CheckAll();
  }

 private:
  void Open() {
    OpenOptions options;
    options.create_if_missing = true;
    options.snapshot_every = 500;
    options.expiry_sweep_interval = absl::Milliseconds(20);
    auto db = Database::Open(dir_ / "db", options);
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
    auto docs = db_->GetCollection("docs");
    if (!docs.ok()) {
      CollectionOptions collection = VectorsOnly(kDimension, IndexKind::kFlat);
      collection.spaces.push_back(collection.spaces[0]);
      collection.spaces[1].name = "graph";
      collection.spaces[1].index = IndexKind::kHnsw;
      docs = db_->CreateCollection("docs", collection);
    }
    ASSERT_TRUE(docs.ok()) << docs.status();
    docs_ = std::make_unique<Collection>(*docs);
  }
  void Restart() {
    docs_.reset();
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
    Open();
  }

  Document RandomDocument() {
    Document document;
    document.tenant = kTenants[random_() % kTenants.size()];
    document.id = "d" + std::to_string(random_() % 120);
    document.metadata["n"] = MetadataValue(static_cast<int>(random_() % 100));
    document.metadata["color"] = MetadataValue(std::vector<std::string>{"red", "green", "blue"}[random_() % 3].c_str());
    if (random_() % 2 == 0) {
      document.metadata["tags"] = MetadataValue(std::vector<Scalar>{Scalar(std::string("a")), Scalar(std::string("b"))});
    }
    for (size_t i = 1 + random_() % 3; i > 0; --i) {
      GivenChunk chunk = ChunkOf("chunk", RandomVector(kDimension, random_));
      chunk.vectors["graph"] = chunk.vectors["default"];
      document.chunks.push_back(std::move(chunk));
    }
    return document;
  }

  void Step() {
    switch (random_() % 8) {
      case 0: case 1: case 2: return UpsertBatch();
      case 3: return DeleteOne();
      case 4: return random_() % 50 == 0 ? DeleteMatching() : CheckGet();
      case 5: return CheckCount();
      default: return CheckSearch();
    }
  }
  void UpsertBatch() {
    std::vector<Document> batch;
    for (size_t i = 1 + random_() % 4; i > 0; --i) batch.push_back(RandomDocument());
    const auto results = docs_->Upsert(batch, WriteOptions{false});
    ASSERT_TRUE(results.ok()) << results.status();
    for (size_t i = 0; i < batch.size(); ++i) {
      model_.Upsert(batch[i]);
      ASSERT_EQ((*results)[i].error, "");
      ASSERT_EQ((*results)[i].version, model_.documents().at({batch[i].tenant, batch[i].id}).version);
    }
  }
  void DeleteOne() {
    const Document any = RandomDocument();
    const auto deleted = docs_->Delete(any.id, any.tenant, WriteOptions{false});
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    ASSERT_EQ(*deleted, model_.Delete({any.tenant, any.id}));
  }
  void DeleteMatching() {
    const std::string tenant = kTenants[random_() % 3], filter = kFilters[1 + random_() % (kFilters.size() - 1)];
    const auto ids = model_.Matching(tenant, *ParseFilter(filter));
    const auto deleted = docs_->DeleteWhere(filter, tenant, WriteOptions{false});
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    ASSERT_EQ(*deleted, ids.size()) << filter;
    for (const std::string& id : ids) model_.Delete({tenant, id});
  }
  void CheckGet() {
    const Document any = RandomDocument();
    const auto it = model_.documents().find({any.tenant, any.id});
    const auto found = docs_->Get(any.id, any.tenant, true);
    if (it == model_.documents().end()) {
      ASSERT_TRUE(absl::IsNotFound(found.status())) << found.status();
      return;
    }
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->metadata, it->second.metadata);
    ASSERT_EQ(found->version, it->second.version);
    ASSERT_EQ(found->chunks.size(), it->second.chunks.size());
    for (size_t i = 0; i < found->chunks.size(); ++i) {
      ASSERT_EQ(found->chunks[i].vectors, it->second.chunks[i].vectors);
    }
  }
  void CheckCount() {
    const std::string tenant = kTenants[random_() % 3], filter = kFilters[random_() % kFilters.size()];
    const auto count = docs_->Count(filter, tenant);
    ASSERT_TRUE(count.ok()) << count.status();
    ASSERT_EQ(*count, model_.Matching(tenant, *ParseFilter(filter)).size()) << tenant << ": " << filter;
  }
  void CheckSearch() {
    SearchRequest request;
    request.tenant = kTenants[random_() % 3];
    request.filter = kFilters[random_() % kFilters.size()];
    request.space = random_() % 2 == 0 ? "default" : "graph";
    request.k = 1 + random_() % 20;
    request.vector = RandomVector(kDimension, random_);
    request.exact = random_() % 2 == 0;
    const auto reply = docs_->Search(request);
    ASSERT_TRUE(reply.ok()) << reply.status();
    const auto expected = model_.TopScores(request.tenant, *ParseFilter(request.filter), request.space,
                                           request.vector, request.k);
    ASSERT_EQ(reply->hits.size(), expected.size()) << request.filter << " on " << request.space;
    std::set<uint64_t> vids;
    for (size_t i = 0; i < expected.size(); ++i) {
      const Hit& hit = reply->hits[i];
      vids.insert(hit.vid);
      ASSERT_TRUE(model_.documents().count({request.tenant, hit.document_id}) > 0) << hit.document_id;
      if (request.exact || request.space == "default") {
        ASSERT_NEAR(hit.score, expected[i], 1e-5);
      }
    }
    ASSERT_EQ(vids.size(), expected.size()) << "a chunk came twice";
  }
  void CheckAll() {
    for (const std::string& tenant : kTenants) {
      ScrollRequest request;
      request.tenant = tenant;
      request.limit = 7;
      std::vector<std::string> seen;
      do {
        const auto reply = docs_->Scroll(request);
        ASSERT_TRUE(reply.ok()) << reply.status();
        for (const Document& document : reply->documents) seen.push_back(document.id);
        request.cursor = reply->cursor;
      } while (!request.cursor.empty());
      ASSERT_EQ(seen, model_.Matching(tenant, *ParseFilter("")));
    }
    const auto report = db_->Verify();
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_THAT(report->problems, ::testing::ElementsAre());
  }

  TempDir dir_;
  std::mt19937_64 random_;
  std::unique_ptr<Database> db_;
  std::unique_ptr<Collection> docs_;
  CollectionModel model_;
};

class ModelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ModelTest, DatabaseEqualsModel) {
  const char* wanted = std::getenv("LARDER_MODEL_OPS");
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  ModelRun(GetParam()).Run(wanted != nullptr ? std::atoi(wanted) : 20'000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace larder::testing
