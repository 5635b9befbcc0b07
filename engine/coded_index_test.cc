// A collection whose graph holds codes: what users see of it, and what verify says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "larder/database.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder {
namespace {

using ::testing::IsEmpty;
using testing::DocumentOf;
using testing::TempDir;
using testing::VectorsOnly;

constexpr uint32_t kDimension = 64;
constexpr size_t kDocuments = 6000;

class CodedIndex : public ::testing::Test {
 protected:
  CodedIndex() {
    std::mt19937_64 random(1);
    for (size_t i = 0; i < kDocuments; ++i) vectors_.push_back(testing::RandomVector(kDimension, random));
    Open();
    Collection docs = *db_->CreateCollection("docs", VectorsOnly(kDimension, IndexKind::kHnsw));
    std::vector<Document> batch;
    for (size_t i = 0; i < kDocuments; ++i) {
      batch.push_back(DocumentOf(std::to_string(i), vectors_[i], {{"even", i % 2 == 0}}));
    }
    EXPECT_TRUE(docs.Upsert(batch).ok());
  }
  void Open() {
    OpenOptions options;
    options.create_if_missing = true;
    auto db = Database::Open(dir_ / "db", options);
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
  }
  Collection Docs() { return *db_->GetCollection("docs"); }
  void ExpectClean() {
    const auto report = db_->Verify();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->problems, IsEmpty());
  }
  // How many of the documents find themselves first, of every hundredth from `first` on.
  size_t FindThemselves(size_t first) {
    size_t found = 0;
    for (size_t i = first; i < kDocuments; i += 100) {
      SearchRequest request;
      request.vector = vectors_[i];
      request.k = 1;
      const auto reply = Docs().Search(request);
      EXPECT_TRUE(reply.ok()) << reply.status();
      if (reply->hits.size() != 1 || reply->hits[0].document_id != std::to_string(i)) continue;
      EXPECT_NEAR(reply->hits[0].score, 1, 2e-3);
      ++found;
    }
    return found;
  }

  TempDir dir_;
  std::unique_ptr<Database> db_;
  std::vector<std::vector<float>> vectors_;
};

TEST_F(CodedIndex, IsVerifiedFoldedAndReopened) {
  EXPECT_EQ(Docs().Info().spaces[0].code, "sq4x8");
  EXPECT_LT(Docs().Info().spaces[0].resident_bytes, kDocuments * (kDimension * 2 + 300));
  ExpectClean();
  EXPECT_GE(FindThemselves(0), 59u);
  for (size_t i = 0; i < 1500; ++i) ASSERT_TRUE(Docs().Delete(std::to_string(i)).ok());
  ExpectClean();
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(Docs().Info().spaces[0].tombstones, 0u);
  ExpectClean();
  EXPECT_GE(FindThemselves(1500), 44u);
  ASSERT_TRUE(db_->Close().ok());
  Open();
  EXPECT_EQ(Docs().Info().spaces[0].code, "sq4x8");
  ExpectClean();
  EXPECT_GE(FindThemselves(1500), 44u);
}

// min(k, matches), whatever the filter.
TEST_F(CodedIndex, FiltersFindAllMatches) {
  for (const char* filter : {"even = true", "even = false", "even = true and even = false"}) {
    for (const uint32_t k : {1u, 50u, 3000u, 4000u}) {
      SearchRequest request;
      request.vector = vectors_[17];
      request.k = k;
      request.filter = filter;
      request.include_text = false;
      const auto reply = Docs().Search(request);
      ASSERT_TRUE(reply.ok()) << reply.status();
      const size_t matches = std::string(filter).find("and") == std::string::npos ? 3000 : 0;
      EXPECT_EQ(reply->hits.size(), std::min<size_t>(k, matches)) << filter << ' ' << k;
      std::set<std::string> distinct;
      for (const Hit& hit : reply->hits) distinct.insert(hit.document_id);
      EXPECT_EQ(distinct.size(), reply->hits.size());
    }
  }
}

}  // namespace
}  // namespace larder
