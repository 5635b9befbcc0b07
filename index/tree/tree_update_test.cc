// The tree under change: what is acknowledged is found, through folds, splits, reassignments, kills.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <set>
#include <thread>

#include "index/test_vectors.h"
#include "index/tree/tree_index.h"
#include "index/tree/tree_test_support.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = ChangingTree::kDimension;
constexpr size_t kBase = ChangingTree::kBase, kAll = ChangingTree::kAll;

using TreeUpdate = ChangingTree;

TEST_F(TreeUpdate, WhatIsInsertedIsFoundAtOnce) {
  for (size_t row = kBase; row < kBase + 40; ++row) {
    ASSERT_TRUE(InsertRows(row, 1).ok());
    EXPECT_TRUE(Finds(row)) << row;
  }
  EXPECT_EQ(db_.tree->Stats().rows, kBase + 40);
  EXPECT_TRUE(absl::IsInvalidArgument(db_.tree->Insert({1}, std::vector<float>(kDimension, NAN))));
  EXPECT_TRUE(absl::IsInvalidArgument(db_.tree->Insert({1, 2}, std::vector<float>(kDimension, 1))));
  EXPECT_EQ(db_.tree->Stats().rows, kBase + 40);
}

TEST_F(TreeUpdate, GrowingKeepsRecallAndLosesNothing) {
  const double before = Recall(kBase);
  const size_t leaves = db_.tree->Stats().leaves;
  for (size_t row = kBase; row < kAll; row += 50) {
    ASSERT_TRUE(InsertRows(row, 50).ok());
    const absl::Status maintained = MaintainAll();
    ASSERT_TRUE(maintained.ok()) << maintained;
  }
  const TreeStats stats = db_.tree->Stats();
  EXPECT_EQ(stats.rows, kAll);
  EXPECT_GT(stats.leaves, leaves + 10) << "it splits";
  EXPECT_LT(stats.deltas, stats.leaves * 32);
  EXPECT_GT(stats.entries + stats.deltas, kAll * 3 / 2) << "copies are kept";
  EXPECT_LE(stats.entries + stats.deltas, kAll * 2 + 200);
  for (size_t row = 0; row < kAll; row += 37) EXPECT_TRUE(Finds(row)) << row;
  const double grown = Recall(kAll);
  EXPECT_GE(grown, before - 0.03);
  Reopen();
  EXPECT_EQ(db_.tree->Stats().rows, kAll);
  EXPECT_EQ(db_.tree->Stats().entries, stats.entries);
  EXPECT_EQ(db_.tree->Stats().deltas, stats.deltas);
  EXPECT_EQ(Recall(kAll), grown);
  std::vector<std::string> problems;
  ASSERT_TRUE(db_.extents->Verify(&problems).ok());
  EXPECT_TRUE(problems.empty()) << problems[0];
}

TEST_F(TreeUpdate, WhatIsRemovedIsFoundNoMore) {
  std::vector<Vid> gone;
  for (size_t row = 0; row < kBase; row += 2) gone.push_back(RowsInMemory::VidOf(row));
  ASSERT_TRUE(db_.tree->Remove(gone).ok());
  for (int round = 0; round < 3; ++round) {
    for (size_t row = 0; row < 200; ++row) EXPECT_EQ(Finds(row), row % 2 == 1) << row << ", round " << round;
    if (round == 0) Reopen();
    if (round == 1) {
      const uint64_t entries = db_.tree->Stats().entries;
      ASSERT_TRUE(InsertRows(kBase, 3000).ok());
      ASSERT_TRUE(MaintainAll().ok());
      EXPECT_LT(db_.tree->Stats().entries + db_.tree->Stats().deltas, entries + 6000 - 1000) << "folds drop what is removed";
    }
  }
}

TEST_F(TreeUpdate, IdenticalVectorsOverflowAndNoneIsDropped) {
  const std::vector<float> same(kDimension, 0.125f);
  for (Vid vid = 1'000'000; vid < 1'002'000; vid += 100) {
    std::vector<Vid> vids;
    std::vector<float> vectors;
    for (Vid i = 0; i < 100; ++i) {
      vids.push_back(vid + i);
      vectors.insert(vectors.end(), same.begin(), same.end());
    }
    ASSERT_TRUE(db_.tree->Insert(vids, vectors).ok());
    ASSERT_TRUE(MaintainAll().ok());
  }
  const auto reply = db_.tree->Search(same, {.k = 2000, .postings = 10, .candidates = 4000});
  ASSERT_TRUE(reply.ok());
  ASSERT_EQ(reply->neighbors.size(), 2000u);
  for (const Neighbor& neighbor : reply->neighbors) EXPECT_EQ(neighbor.distance, 0);
}

TEST_F(TreeUpdate, GarbageIsCollectedAndPointersFollow) {
  ASSERT_TRUE(InsertRows(kBase, 3000).ok());
  ASSERT_TRUE(MaintainAll().ok());
  db_.extents->Sync().IgnoreError();
  const uint64_t before = db_.extents->Stats().bytes;
  Reopen();  // seals the file that is written
  const auto freed = db_.extents->CollectGarbage([this](const auto& owner, const auto& from, const auto& to, auto* batch) {
    return db_.tree->Relocate(owner, from, to, batch);
  });
  ASSERT_TRUE(freed.ok()) << freed.status();
  EXPECT_LE(db_.extents->Stats().bytes, before);
  for (size_t row = 0; row < 5000; row += 41) EXPECT_TRUE(Finds(row)) << row;
  Reopen();
  for (size_t row = 0; row < 5000; row += 41) EXPECT_TRUE(Finds(row)) << row;
}

TEST_F(TreeUpdate, SearchesRunBesideInsertsAndMaintenance) {
  std::atomic<bool> stop{false};
  std::atomic<size_t> acknowledged{kBase};
  std::thread writer([&] {
    // Batches that end off a group's end: a group must not be closed before all its rows are there.
    for (size_t row = kBase; row + 90 <= kAll; row += 90) {
      EXPECT_TRUE(InsertRows(row, 90).ok());
      acknowledged = row + 90;
    }
    stop = true;
  });
  std::thread maintainer([&] {
    while (!stop) {
      const auto more = db_.tree->Maintain();
      EXPECT_TRUE(more.ok()) << more.status();
    }
  });
  size_t searches = 0;
  while (!stop) {
    const size_t row = (acknowledged - 1 - searches % 60);
    EXPECT_TRUE(Finds(row)) << row;
    ++searches;
  }
  writer.join();
  maintainer.join();
  EXPECT_GT(searches, 10u);
}

// A child inserts and maintains until it is killed; what it acknowledged is there.
TEST_F(TreeUpdate, NothingAcknowledgedIsLostToAKill) {
  size_t known = kBase;
  for (int round = 0; round < 6; ++round) {
    db_.Close();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (!db_.Open().ok() || !db_.OpenTree().ok()) _exit(1);
      for (size_t row = known; row + 20 <= kAll; row += 20) {
        if (!InsertRows(row, 20).ok()) _exit(2);
        const uint64_t so_far = row + 20;
        if (write(ends[1], &so_far, sizeof(so_far)) != sizeof(so_far)) _exit(3);
        for (int i = 0; i < 3; ++i) {
          if (!db_.tree->Maintain().ok()) _exit(4);
        }
      }
      _exit(0);
    }
    close(ends[1]);
    uint64_t so_far = 0;
    const uint64_t wanted = known + 20 * (5 + 3 * round);
    while (so_far < wanted && read(ends[0], &so_far, sizeof(so_far)) == sizeof(so_far)) {
    }
    usleep(1000 * (round * 5 % 17));  // somewhere in what follows
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    for (uint64_t more; read(ends[0], &more, sizeof(more)) == sizeof(more);) so_far = more;
    close(ends[0]);
    Reopen();
    // The batch under way may be there as well.
    EXPECT_GE(db_.tree->Stats().rows, so_far);
    EXPECT_LE(db_.tree->Stats().rows, so_far + 20);
    for (size_t row = 0; row < so_far; row += row < known ? 97 : 7) EXPECT_TRUE(Finds(row)) << row << ", round " << round;
    ASSERT_TRUE(MaintainAll().ok());
    std::vector<std::string> problems;
    ASSERT_TRUE(db_.extents->Verify(&problems).ok());
    ASSERT_TRUE(db_.store->Verify(nullptr, &problems).ok());
    EXPECT_TRUE(problems.empty()) << problems[0];
    known = db_.tree->Stats().rows;
  }
}

}  // namespace
}  // namespace larder::index
