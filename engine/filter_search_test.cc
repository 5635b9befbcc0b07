// Searches under filters through a collection: equal filters, whole answers, the estimate of their recall, writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "larder/database.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

constexpr uint32_t kDimension = 64, kDocuments = 20'000;

class FilterSearchTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    OpenOptions options;
    options.create_if_missing = true;
    db_ = Database::Open(*dir_ / "db", options)->release();
    docs_ = new Collection(*db_->CreateCollection("docs", VectorsOnly(kDimension, IndexKind::kHnsw)));
    std::mt19937_64 random(5);
    for (uint32_t first = 0; first < kDocuments; first += 500) {
      std::vector<Document> batch;
      for (uint32_t i = first; i < first + 500; ++i) batch.push_back(DocumentOf(i, random));
      ASSERT_TRUE(docs_->Upsert(batch, WriteOptions{false}).ok());
    }
  }
  static void TearDownTestSuite() {
    delete docs_;
    delete db_;
    delete dir_;
  }
  static Document DocumentOf(uint32_t i, std::mt19937_64& random) {
    Document document;
    document.id = absl::StrCat("d", i);
    document.metadata["n"] = MetadataValue(static_cast<int>(i % 100));
    document.metadata["color"] = MetadataValue(i % 2 == 0 ? "red" : "blue");
    document.chunks = {ChunkOf("chunk", RandomVector(kDimension, random))};
    return document;
  }
  static SearchReply Search(const std::string& filter, uint64_t seed, uint32_t k = 10) {
    std::mt19937_64 random(seed);
    SearchRequest request;
    request.vector = RandomVector(kDimension, random);
    request.filter = filter;
    request.k = k;
    request.include_text = false;
    const auto reply = docs_->Search(request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return *reply;
  }
  static std::vector<std::string> Ids(const SearchReply& reply) {
    std::vector<std::string> ids;
    for (const Hit& hit : reply.hits) ids.push_back(hit.document_id);
    return ids;
  }

  static TempDir* dir_;
  static Database* db_;
  static Collection* docs_;
};
TempDir* FilterSearchTest::dir_;
Database* FilterSearchTest::db_;
Collection* FilterSearchTest::docs_;

TEST_F(FilterSearchTest, EquivalentFiltersGiveEqualAnswers) {
  const std::vector<std::vector<std::string>> equal = {
      {"n = 3 or n = 40", "n = 40 or n = 3", "n in (3, 40)", "n in (40, 3, 3)", "not (n != 3 and n != 40)"},
      {"color = \"red\"", "not not color = \"red\"", "not color = \"blue\"", "color prefix \"r\"", "color in (\"red\")",
       "color = \"red\" and exists(n)", "color >= \"c\""},
      {"n >= 10 and n < 30", "n < 30 and n >= 10", "not (n < 10 or n >= 30)", "n > 9.5 and n <= 29",
       "n >= 10 and not n >= 30", "n >= 0 and n >= 10 and n < 30 and n < 99"},
      {"", "true", "exists(n) or false"}};
  for (const auto& filters : equal) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const SearchReply first = Search(filters[0], seed);
      for (const std::string& filter : filters) {
        const SearchReply other = Search(filter, seed);
        EXPECT_EQ(other.matches, first.matches) << filter;
        if (filters[0].empty()) continue;  // a walk without a filter is another walk
        EXPECT_EQ(Ids(other), Ids(first)) << filter;
        EXPECT_EQ(other.plan, first.plan) << filter;
      }
    }
  }
}

TEST_F(FilterSearchTest, ThePlanFollowsTheMatches) {
  EXPECT_EQ(Search("n = 3", 1).plan, "matches");
  EXPECT_EQ(Search("n in (3, 4, 5, 6)", 1).plan, "coded matches");
  EXPECT_EQ(Search("color = \"red\" or n < 90", 1).plan, "filtered graph");
  EXPECT_EQ(Search("color = \"red\" or n < 90", 1).ef, Search("", 1).ef * 3 / 2) << "a longer list than without";
  EXPECT_EQ(Search("n = 1000", 1).plan, "matches");
  EXPECT_EQ(Search("n = 3", 1, 300).hits.size(), 200u);
}

TEST_F(FilterSearchTest, EveryPlanEstimatesItsRecall) {
  EXPECT_EQ(Search("n = 3", 1).recall_estimate, 1);
  for (const std::string filter : {"color = \"red\" or n < 90", "n in (3, 4, 5, 6)"}) {
    std::optional<double> estimate;
    for (int i = 0; i < 20'000 && !estimate.has_value(); ++i) estimate = Search(filter, i).recall_estimate;
    ASSERT_TRUE(estimate.has_value()) << filter;
    EXPECT_GE(*estimate, 0.7) << filter;
    EXPECT_LE(*estimate, 1) << filter;
  }
}

// Whoever was told that a document is stored finds it by its metadata, whatever is read into the cache meanwhile.
TEST_F(FilterSearchTest, AcknowledgedWritesAreFound) {
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    for (uint64_t seed = 0; !stop; ++seed) {
      Search(absl::StrCat("w = ", seed % 400, " or w >= ", seed % 300, " or exists(w) and s prefix \"x", seed % 10, "\""), seed);
    }
  });
  std::mt19937_64 random(9);
  for (int i = 0; i < 400; ++i) {
    Document document = DocumentOf(kDocuments + i, random);
    document.metadata["w"] = MetadataValue(i);
    document.metadata["s"] = MetadataValue(absl::StrCat("x", i).c_str());
    ASSERT_TRUE(docs_->Upsert({document}, WriteOptions{false}).ok());
    for (const std::string& filter : {absl::StrCat("w = ", i), absl::StrCat("w >= ", i), absl::StrCat("w > ", i - 1, " and w < ", i + 1),
                                      absl::StrCat("s = \"x", i, "\"")}) {
      ASSERT_EQ(*docs_->Count(filter, ""), 1u) << filter;
    }
    ASSERT_EQ(*docs_->Count("exists(w)", ""), static_cast<uint64_t>(i + 1));
  }
  stop = true;
  reader.join();
  ASSERT_EQ(*docs_->DeleteWhere("exists(w)", "", WriteOptions{false}), 400u);
  EXPECT_EQ(*docs_->Count("w >= 0", ""), 0u);
}

}  // namespace
}  // namespace larder::testing
