// A collection whose graph holds codes: what users see of it, and what verify says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
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
    Fill(*db_->CreateCollection("docs", VectorsOnly(kDimension, IndexKind::kHnsw)));
  }
  void Fill(Collection docs) {
    std::vector<Document> batch;
    for (size_t i = 0; i < kDocuments; ++i) {
      batch.push_back(DocumentOf(std::to_string(i), vectors_[i], {{"even", i % 2 == 0}}));
    }
    EXPECT_TRUE(docs.Upsert(batch).ok());
  }
  void Open() {
    OpenOptions options;
    options.create_if_missing = true;
    options.tune_recall = false;  // ef is the same from search to search
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

TEST_F(CodedIndex, IsF32ForWhoAsksForIt) {
  CollectionOptions options = VectorsOnly(kDimension, IndexKind::kHnsw);
  options.spaces[0].hnsw.row_code = RowCode::kF32;
  const Collection plain = *db_->CreateCollection("plain", options);
  Fill(plain);
  EXPECT_EQ(plain.Info().spaces[0].code, "f32");
  EXPECT_GT(plain.Info().spaces[0].resident_bytes, kDocuments * kDimension * 4);
  const auto& row = vectors_[3];
  const double norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
  SearchRequest request;
  request.vector.assign(kDimension, 0);
  request.vector[0] = 1;
  request.k = kDocuments;
  request.exact = true;
  const auto reply = plain.Search(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  const auto hit = std::find_if(reply->hits.begin(), reply->hits.end(), [](const Hit& h) { return h.document_id == "3"; });
  ASSERT_NE(hit, reply->hits.end());
  EXPECT_NEAR(hit->score, row[0] / norm, 1e-6);
}

// Vectors as a Matryoshka model's, by their prefix at first; exact for who says so.
TEST_F(CodedIndex, SearchesThePrefixFirst) {
  for (auto& vector : vectors_) {
    for (size_t i = 0; i < kDimension; ++i) vector[i] *= static_cast<float>(std::exp(-static_cast<double>(i) / 12));
  }
  for (const IndexKind kind : {IndexKind::kFlat, IndexKind::kHnsw}) {
    CollectionOptions options = VectorsOnly(kDimension, kind);
    options.spaces[0].prefix = 24;
    const bool flat = kind == IndexKind::kFlat;
    const Collection docs = *db_->CreateCollection(flat ? "prefix-flat" : "prefix-hnsw", options);
    Fill(docs);
    SearchRequest request;
    request.include_text = false;
    size_t found = 0, found_filtered = 0;
    for (size_t q = 0; q < 50; ++q) {
      request.vector = vectors_[q];
      for (size_t i = 0; i < kDimension; ++i) request.vector[i] += 0.5f * vectors_[q + 100][i];
      request.exact = true;
      const SearchReply exact = *docs.Search(request);
      EXPECT_EQ(exact.plan, flat ? "flat" : "matches");
      EXPECT_EQ(exact.recall_estimate, 1.0);
      request.exact = false;
      const SearchReply reply = *docs.Search(request);
      EXPECT_EQ(reply.plan, flat ? "prefix" : "graph");
      EXPECT_EQ(reply.ef, flat ? 768u : 96u);  // wide, until it is calibrated
      EXPECT_NE(reply.recall_estimate, 1.0);
      std::set<uint64_t> truth;
      for (const Hit& hit : exact.hits) truth.insert(hit.vid);
      for (const Hit& hit : reply.hits) found += truth.count(hit.vid);
      request.filter = "even = true";
      const SearchReply filtered = *docs.Search(request);
      EXPECT_EQ(filtered.plan, flat ? "matches" : "coded matches");
      request.exact = true;
      truth.clear();
      const SearchReply filtered_exact = *docs.Search(request);
      for (const Hit& hit : filtered_exact.hits) truth.insert(hit.vid);
      for (const Hit& hit : filtered.hits) found_filtered += truth.count(hit.vid);
      request.filter.clear();
    }
    EXPECT_GE(found, 475u);
    EXPECT_GE(found_filtered, flat ? 500u : 475u);
    EXPECT_NE(docs.Info().spaces[0].recall_estimate, 1.0);
  }
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
