#include "index/tree/tree_index.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "index/test_vectors.h"
#include "index/tree/tree_test_support.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 32;
constexpr uint32_t kAll = 1'000'000;  // postings, candidates: everything

std::vector<std::vector<float>> Queries(size_t count, uint32_t dimension) {
  const std::vector<float> values = ClusteredVectors(count, dimension, 77);
  std::vector<std::vector<float>> queries;
  for (size_t i = 0; i < count; ++i) queries.emplace_back(&values[i * dimension], &values[(i + 1) * dimension]);
  return queries;
}

double RecallOf(const TreeDatabase& db, const RowsInMemory& rows, Metric metric, const TreeSearchParams& params,
                TreeSearchStats* most) {
  size_t hits = 0, wanted = 0;
  for (const std::vector<float>& query : Queries(100, kDimension)) {
    const auto reply = db.tree->Search(query, params);
    EXPECT_TRUE(reply.ok()) << reply.status();
    std::set<Vid> found;
    for (const Neighbor& neighbor : reply->neighbors) EXPECT_TRUE(found.insert(neighbor.vid).second) << "twice";
    for (const Neighbor& neighbor : ExactNearest(rows, kDimension, metric, query, params.k)) {
      hits += found.contains(neighbor.vid);
      ++wanted;
    }
    most->rounds = std::max(most->rounds, reply->stats.rounds);
    most->reads = std::max(most->reads, reply->stats.reads);
  }
  return static_cast<double>(hits) / static_cast<double>(wanted);
}

class TreeIndexMetric : public testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(All, TreeIndexMetric, testing::Values(Metric::kCosine, Metric::kDot, Metric::kL2));

TEST_P(TreeIndexMetric, ReachesTheRecallItIsAskedForInTwoRounds) {
  const RowsInMemory rows(ClusteredVectors(8000, kDimension, 1), kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  const absl::Status built = db.Build(rows, SmallBuild(kDimension, GetParam()));
  ASSERT_TRUE(built.ok()) << built;
  EXPECT_EQ(db.tree->Stats().rows, 8000u);
  EXPECT_GT(db.tree->Stats().entries, 15'000u);
  EXPECT_LE(db.tree->Stats().entries, 16'000u);
  ASSERT_TRUE(db.tree->Measure(100, 2).ok());
  double last = 0;
  for (const float target : {0.8f, 0.95f}) {
    TreeSearchStats most;
    const double recall = RecallOf(db, rows, GetParam(), {.target_recall = target}, &most);
    EXPECT_GE(recall, target - 0.02);
    EXPECT_GE(recall, last);
    EXPECT_EQ(most.rounds, 2u);
    EXPECT_LT(most.reads, 100u) << "of " << db.tree->Stats().postings << " postings";
    last = recall;
  }
}

TEST_P(TreeIndexMetric, LookingEverywhereIsExact) {
  const RowsInMemory rows(ClusteredVectors(3000, kDimension, 1), kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  TreeBuildOptions options = SmallBuild(kDimension, GetParam());
  options.tree.element = RowElement::kF32;
  ASSERT_TRUE(db.Build(rows, options).ok());
  for (const std::vector<float>& query : Queries(20, kDimension)) {
    const auto reply = db.tree->Search(query, {.postings = kAll, .candidates = kAll});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->neighbors, ExactNearest(rows, kDimension, GetParam(), query, 10));
    EXPECT_EQ(reply->stats.entries, db.tree->Stats().entries);
  }
}

TEST(TreeIndex, FiltersAndRefusesWhatCannotBe) {
  const RowsInMemory rows(ClusteredVectors(2000, kDimension, 1), kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  EXPECT_TRUE(absl::IsNotFound(db.OpenTree()));
  ASSERT_TRUE(db.Build(rows, SmallBuild(kDimension, Metric::kL2)).ok());
  VidSet filter;
  for (uint64_t i = 0; i < 2000; i += 100) filter.Add(RowsInMemory::VidOf(i));
  const auto query = Queries(1, kDimension)[0];
  const auto reply = db.tree->Search(query, {.k = 50, .postings = kAll, .candidates = kAll, .filter = &filter});
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->neighbors.size(), 20u);
  for (const Neighbor& neighbor : reply->neighbors) EXPECT_TRUE(filter.Contains(neighbor.vid));
  EXPECT_TRUE(absl::IsInvalidArgument(db.tree->Search(query, {.k = 0}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(db.tree->Search({query.data(), 3}, {}).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(db.Build(rows, SmallBuild(kDimension, Metric::kL2))));
  EXPECT_TRUE(absl::IsInvalidArgument(
      BuildTree(db.store.get(), db.extents.get(), RowsInMemory({}, kDimension), SmallBuild(kDimension, Metric::kL2))));
}

TEST(TreeIndex, TwoSpacesDoNotMeet) {
  const RowsInMemory rows(ClusteredVectors(500, kDimension, 1), kDimension), others(ClusteredVectors(40, 8, 2), 8);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  ASSERT_TRUE(db.Build(rows, SmallBuild(kDimension, Metric::kL2)).ok());
  TreeBuildOptions second = SmallBuild(8, Metric::kL2);
  second.tree.space = 2;
  ASSERT_TRUE(db.Build(others, second).ok());
  EXPECT_EQ(db.tree->Stats().rows, 40u);
  ASSERT_TRUE(db.OpenTree(1).ok());
  EXPECT_EQ(db.tree->Stats().rows, 500u);
}

TEST(TreeIndex, IdenticalVectorsOverflowAndNoneIsLost) {
  std::vector<float> values = ClusteredVectors(1000, kDimension, 1);
  values.resize(6000 * kDimension, 0.125f);
  const RowsInMemory rows(values, kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  const absl::Status built = db.Build(rows, SmallBuild(kDimension, Metric::kL2));
  ASSERT_TRUE(built.ok()) << built;
  const auto reply = db.tree->Search(std::vector<float>(kDimension, 0.125f), {.k = 5000, .postings = 4, .candidates = 10'000});
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->neighbors.size(), 5000u);
  for (const Neighbor& neighbor : reply->neighbors) EXPECT_EQ(neighbor.distance, 0);
}

// What a child that dies at the `at`-th report leaves behind. False: it came to the end.
bool BuildAndDie(TreeDatabase* db, const RowsInMemory& rows, int at) {
  const pid_t child = fork();
  if (child == 0) {
    int reports = 0;
    TreeBuildOptions options = SmallBuild(kDimension, Metric::kCosine);
    options.progress = [&](absl::string_view, uint64_t, uint64_t) {
      if (reports++ == at) raise(SIGKILL);
      return absl::OkStatus();
    };
    const bool built = db->Open().ok() && BuildTree(db->store.get(), db->extents.get(), rows, options).ok();
    _exit(built ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || status == 0);
  return WIFSIGNALED(status);
}

TEST(TreeBuild, GoesOnAfterAKillAtEveryStep) {
  const RowsInMemory rows(ClusteredVectors(9000, kDimension, 1), kDimension);
  std::string first_phase;
  int at = 0;
  for (;; ++at) {
    TreeDatabase db;
    if (!BuildAndDie(&db, rows, at)) break;
    SCOPED_TRACE(testing::Message() << "killed at report " << at);
    ASSERT_TRUE(db.Open().ok());
    EXPECT_TRUE(absl::IsNotFound(db.OpenTree())) << "an unfinished tree is none";
    const absl::Status built = db.Build(rows, SmallBuild(kDimension, Metric::kCosine));
    ASSERT_TRUE(built.ok()) << built;
    EXPECT_EQ(db.tree->Stats().rows, 9000u);
    EXPECT_LE(db.tree->Stats().entries, 18'000u);
    EXPECT_GT(db.tree->Stats().entries, 17'000u);
    TreeSearchStats most;
    EXPECT_GE(RecallOf(db, rows, Metric::kCosine, {.postings = 40, .candidates = 60}, &most), 0.97);
    std::vector<std::string> problems;
    ASSERT_TRUE(db.extents->Verify(&problems).ok());
    EXPECT_TRUE(problems.empty()) << problems[0];
    const auto leftovers = db.store->NewIterator(storage::Table::kTree, TreeKeys(1).Prefix('c'));
    EXPECT_FALSE(leftovers->Valid());
  }
  EXPECT_GE(at, 10) << "too few steps to speak of";
}

TEST(TreeBuild, DoesNotRepeatWhatIsDone) {
  const RowsInMemory rows(ClusteredVectors(9000, kDimension, 1), kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  TreeBuildOptions options = SmallBuild(kDimension, Metric::kCosine);
  std::vector<std::string> phases;
  options.progress = [&](absl::string_view phase, uint64_t, uint64_t) {
    phases.emplace_back(phase);
    return phase == "assign" ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_TRUE(absl::IsCancelled(BuildTree(db.store.get(), db.extents.get(), rows, options)));
  phases.clear();
  TreeBuildOptions other = options;
  other.tree.metric = Metric::kL2;
  EXPECT_TRUE(absl::IsFailedPrecondition(BuildTree(db.store.get(), db.extents.get(), rows, other)));
  EXPECT_TRUE(absl::IsCancelled(BuildTree(db.store.get(), db.extents.get(), rows, options)));
  EXPECT_EQ(phases, std::vector<std::string>{"assign"});
}

// Every flipped byte of what is read is noticed: a search gives DataLoss or what it gave before.
TEST(TreeIndex, DamagedExtentsAreNeverServed) {
  const RowsInMemory rows(ClusteredVectors(600, kDimension, 1), kDimension);
  TreeDatabase db;
  ASSERT_TRUE(db.Open().ok());
  ASSERT_TRUE(db.Build(rows, SmallBuild(kDimension, Metric::kL2)).ok());
  const auto query = Queries(1, kDimension)[0];
  const TreeSearchParams all{.postings = kAll, .candidates = kAll};
  const auto before = db.tree->Search(query, all);
  ASSERT_TRUE(before.ok());
  size_t refused = 0, flips = 0;
  for (const auto& entry : std::filesystem::directory_iterator(db.extent_path())) {
    const uint64_t size = entry.file_size();
    for (uint64_t at = 100; at < size; at += size / 40 + 1) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      char byte;
      file.seekg(static_cast<std::streamoff>(at)).get(byte);
      file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(byte ^ 0x10)).flush();
      const auto after = db.tree->Search(query, all);
      if (after.ok()) {
        EXPECT_EQ(after->neighbors, before->neighbors);
      } else {
        EXPECT_TRUE(absl::IsDataLoss(after.status())) << after.status();
        ++refused;
      }
      file.seekp(static_cast<std::streamoff>(at)).put(byte).flush();
      ++flips;
    }
  }
  EXPECT_GT(refused, flips / 10) << "of " << flips;
  EXPECT_TRUE(db.tree->Search(query, all).ok());
}

}  // namespace
}  // namespace larder::index
