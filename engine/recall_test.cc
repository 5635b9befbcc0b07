// target_recall from the outside: what it refuses, what it finds, what is reported.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <set>

#include "absl/time/clock.h"
#include "larder/database.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder {
namespace {

using ::testing::HasSubstr;
using testing::DocumentOf;
using testing::TempDir;
using testing::VectorsOnly;

constexpr uint32_t kDimension = 32;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Around 50 centres; rows and queries of different seeds fall in the same clusters.
std::vector<std::vector<float>> Clustered(size_t count, uint64_t seed) {
  std::mt19937_64 center_random(3), random(seed);
  std::vector<std::vector<float>> centers, vectors;
  for (int c = 0; c < 50; ++c) centers.push_back(testing::RandomVector(kDimension, center_random));
  std::normal_distribution<float> noise(0, 0.6f);
  for (size_t i = 0; i < count; ++i) {
    vectors.push_back(centers[random() % centers.size()]);
    for (float& x : vectors.back()) x += noise(random);
  }
  return vectors;
}

class RecallTest : public ::testing::Test {
 protected:
  void Open(bool tune) {
    OpenOptions options;
    options.create_if_missing = true;
    options.tune_recall = tune;
    auto db = Database::Open(dir_ / "db", options);
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
  }
  // A graph of little links, so that a small ef misses some.
  Collection Filled(size_t count) {
    CollectionOptions options = VectorsOnly(kDimension, IndexKind::kHnsw);
    options.spaces[0].hnsw.m = 4;
    options.spaces[0].hnsw.ef_construction = 40;
    Collection docs = *db_->CreateCollection("docs", options);
    std::vector<Document> batch;
    for (const auto& vector : Clustered(count, 1)) {
      batch.push_back(DocumentOf(std::to_string(batch.size()), vector, {{"even", batch.size() % 2 == 0}}));
    }
    const auto results = docs.Upsert(batch);
    EXPECT_TRUE(results.ok()) << results.status();
    return docs;
  }
  static SearchRequest Near(std::vector<float> vector, double target_recall) {
    SearchRequest request;
    request.vector = std::move(vector);
    request.target_recall = target_recall;
    request.include_text = false;
    return request;
  }
  static void WaitForCalibration(const Collection& docs) {
    for (int i = 0; i < 600 && docs.Info().spaces[0].recall_points == 0; ++i) absl::SleepFor(absl::Milliseconds(50));
    ASSERT_GT(docs.Info().spaces[0].recall_points, 0u);
  }
  // Recall against exact answers; `ef` and `expected` get the averages of the replies.
  static double Measure(const Collection& docs, double target, size_t queries, double* ef, double* expected) {
    size_t found = 0, wanted = 0;
    *ef = *expected = 0;
    for (const auto& query : Clustered(queries, 2)) {
      SearchRequest exact = Near(query, 0);
      exact.exact = true;
      std::set<uint64_t> truth;
      const SearchReply all = *docs.Search(exact);
      for (const Hit& hit : all.hits) truth.insert(hit.vid);
      const SearchReply reply = *docs.Search(Near(query, target));
      for (const Hit& hit : reply.hits) found += truth.count(hit.vid);
      wanted += truth.size();
      *ef += reply.ef / static_cast<double>(queries);
      *expected += reply.recall_estimate.value_or(0) / static_cast<double>(queries);
    }
    return static_cast<double>(found) / static_cast<double>(wanted);
  }

  TempDir dir_;
  std::unique_ptr<Database> db_;
};

TEST_F(RecallTest, RefusesWhatMakesNoSense) {
  Open(true);
  const Collection docs = Filled(10);
  const std::vector<float> query(kDimension, 1);
  for (double target : {-0.1, 1.0, 1.5, kNan, -kNan}) {
    const auto status = docs.Search(Near(query, target)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << target;
    EXPECT_THAT(std::string(status.message()), HasSubstr("target_recall"));
  }
  SearchRequest both = Near(query, 0.9);
  both.ef = 50;
  EXPECT_TRUE(absl::IsInvalidArgument(docs.Search(both).status()));
  EXPECT_TRUE(docs.Search(Near(query, 0.9)).ok());
  EXPECT_TRUE(docs.Search(Near(query, 0)).ok());
}

TEST_F(RecallTest, FindsWhatWasAskedFor) {
  Open(true);
  Collection docs = Filled(5'000);
  // The first search is answered at once, widely, and has the index calibrated.
  const SearchReply first = *docs.Search(Near(Clustered(1, 5)[0], 0.95));
  EXPECT_EQ(first.ef, 192u);
  EXPECT_FALSE(first.recall_estimate.has_value());
  EXPECT_FALSE(docs.Info().spaces[0].recall_estimate.has_value());
  WaitForCalibration(docs);
  double ef_95 = 0, ef_99 = 0, expected_95 = 0, expected_99 = 0;
  const double found_95 = Measure(docs, 0.95, 300, &ef_95, &expected_95);
  const double found_99 = Measure(docs, 0.99, 300, &ef_99, &expected_99);
  EXPECT_GE(found_95, 0.935);
  EXPECT_GE(found_99, 0.975);
  EXPECT_LT(ef_95, ef_99);
  EXPECT_NEAR(expected_95, found_95, 0.04);
  EXPECT_NEAR(expected_99, found_99, 0.04);
  const VectorSpaceInfo space = docs.Info().spaces[0];
  EXPECT_GT(*space.recall_estimate, 0.9);
  EXPECT_GT(space.recall_standard_error, 0);
}

TEST_F(RecallTest, RemembersWhatItMeasured) {
  Open(true);
  Collection docs = Filled(1'500);
  const SearchRequest request = Near(Clustered(1, 5)[0], 0.9);
  ASSERT_TRUE(docs.Search(request).ok());
  WaitForCalibration(docs);
  const uint32_t ef = docs.Search(request)->ef;
  ASSERT_TRUE(db_->Close().ok());
  Open(false);
  docs = *db_->GetCollection("docs");
  EXPECT_EQ(docs.Search(request)->ef, ef);
  EXPECT_GT(docs.Info().spaces[0].recall_points, 0u);
  ASSERT_TRUE(db_->DropCollection("docs").ok());
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "db/index")) files += entry.exists();
  EXPECT_EQ(files, 0u);
}

TEST_F(RecallTest, SaysWhatToExpectOfEachPlan) {
  Open(true);
  Collection docs = Filled(2'000);
  const std::vector<float> query = Clustered(1, 5)[0];
  ASSERT_TRUE(docs.Search(Near(query, 0)).ok());
  WaitForCalibration(docs);
  SearchReply reply = *docs.Search(Near(query, 0));
  EXPECT_EQ(reply.ef, 96u);
  EXPECT_GT(reply.recall_estimate.value_or(0), 0.9);
  SearchRequest request = Near(query, 0);
  request.ef = 20;
  EXPECT_EQ(docs.Search(request)->ef, 20u);
  EXPECT_LT(*docs.Search(request)->recall_estimate, *reply.recall_estimate);
  request.exact = true;
  reply = *docs.Search(request);
  EXPECT_EQ(reply.ef, 0u);
  EXPECT_EQ(reply.recall_estimate, 1.0);
  request.exact = false;
  request.filter = "even = true";
  reply = *docs.Search(request);
  EXPECT_EQ(reply.plan, "coded matches");
  EXPECT_EQ(reply.ef, 20u);
  EXPECT_FALSE(reply.recall_estimate.has_value()) << "filters were not measured";
}

TEST_F(RecallTest, NothingRunsInTheBackgroundUnlessWanted) {
  Open(false);
  Collection docs = Filled(1'500);
  ASSERT_TRUE(docs.Search(Near(Clustered(1, 5)[0], 0.9)).ok());
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_EQ(docs.Info().spaces[0].recall_points, 0u);
  EXPECT_EQ(docs.Search(Near(Clustered(1, 5)[0], 0.99))->ef, 768u);
}

TEST_F(RecallTest, ClosingDoesNotWaitForACalibration) {
  Open(true);
  Collection docs = Filled(5'000);
  ASSERT_TRUE(docs.Search(Near(Clustered(1, 5)[0], 0.9)).ok());
  absl::SleepFor(absl::Milliseconds(250));
  const absl::Time start = absl::Now();
  ASSERT_TRUE(db_->Close().ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

}  // namespace
}  // namespace larder
