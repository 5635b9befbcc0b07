// Removed entries leave their postings, and leaves that are nearly empty then go.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/codes/code.h"
#include "index/tree/tree_nodes.h"
#include "index/tree/tree_test_support.h"

namespace larder::index {
namespace {

using TreeMerge = ChangingTree;

TEST_F(TreeMerge, LeavesThatAreNearlyEmptyAreDissolved) {
  const size_t leaves = db_.tree->Stats().leaves;
  std::vector<Vid> gone;
  for (size_t row = 0; row < kBase; ++row) {
    if (row % 10 != 0) gone.push_back(RowsInMemory::VidOf(row));
  }
  ASSERT_TRUE(db_.tree->Remove(gone).ok());
  const absl::Status maintained = MaintainAll();
  ASSERT_TRUE(maintained.ok()) << maintained;
  const TreeStats stats = db_.tree->Stats();
  EXPECT_LE(stats.leaves, leaves / 3);
  EXPECT_LE(stats.entries + stats.deltas, 2 * kBase / 10) << "what is removed has left";
  EXPECT_GE(stats.entries + stats.deltas, 3 * kBase / 20) << "copies stay";
  for (size_t row = 0; row < kBase; ++row) EXPECT_EQ(Finds(row), row % 10 == 0) << row;
  Reopen();
  EXPECT_EQ(db_.tree->Stats().leaves, stats.leaves);
  for (size_t row = 0; row < kBase; row += 10) EXPECT_TRUE(Finds(row)) << row;
  ASSERT_TRUE(InsertRows(kBase, 3000).ok());
  ASSERT_TRUE(MaintainAll().ok());
  EXPECT_GT(db_.tree->Stats().leaves, stats.leaves + 20) << "and it grows again";
  for (size_t row = kBase; row < kBase + 3000; row += 17) EXPECT_TRUE(Finds(row)) << row;
  EXPECT_EQ(Problems(), std::vector<std::string>{});
}

TEST_F(TreeMerge, ATreeThatLostAllKeepsALeafAndTakesRows) {
  ASSERT_TRUE(RemoveRows(0, kBase).ok());
  ASSERT_TRUE(MaintainAll().ok());
  EXPECT_EQ(db_.tree->Stats().leaves, 1u);
  EXPECT_EQ(db_.tree->Stats().entries, 0u);
  const auto reply = db_.tree->Search({Rows().row(0), kDimension}, {});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->neighbors.empty());
  Reopen();
  ASSERT_TRUE(InsertRows(kBase, 500).ok());
  ASSERT_TRUE(MaintainAll().ok());
  for (size_t row = kBase; row < kBase + 500; row += 7) EXPECT_TRUE(Finds(row)) << row;
}

// A child removes and maintains until it is killed.
TEST_F(TreeMerge, AKillInTheMiddleLeavesAllOfItOrNothing) {
  const size_t leaves = db_.tree->Stats().leaves;
  size_t removed = 0;  // rows below are
  for (int round = 0; round < 6; ++round) {
    db_.Close();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (!db_.Open().ok() || !db_.OpenTree().ok()) _exit(1);
      for (size_t row = removed; row + 20 <= kBase; row += 20) {
        if (!RemoveRows(row, 20).ok()) _exit(2);
        const uint64_t so_far = row + 20;
        if (write(ends[1], &so_far, sizeof(so_far)) != sizeof(so_far)) _exit(3);
        for (int i = 0; i < 3; ++i) {
          if (!db_.tree->Maintain().ok()) _exit(4);
        }
      }
      for (;;) pause();
    }
    close(ends[1]);
    uint64_t so_far = removed;
    const uint64_t wanted = std::min<uint64_t>(removed + 20 * (8 + 2 * round), kBase);
    while (so_far < wanted && read(ends[0], &so_far, sizeof(so_far)) == sizeof(so_far)) {
    }
    usleep(1000 * (round * 5 % 17));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    for (uint64_t more; read(ends[0], &more, sizeof(more)) == sizeof(more);) so_far = more;
    close(ends[0]);
    Reopen();
    removed = so_far;
    for (size_t row = 0; row < removed; row += 3) EXPECT_FALSE(Finds(row)) << row << ", round " << round;
    for (size_t row = removed + 20; row < kBase; row += 3) EXPECT_TRUE(Finds(row)) << row << ", round " << round;
    EXPECT_EQ(Problems(), std::vector<std::string>{});
  }
  EXPECT_LT(db_.tree->Stats().leaves, leaves);
}

class Chain : public testing::Test {
 protected:
  // 1 below the root, each below the one before; `leaf` is the last.
  void Put(uint32_t id, uint32_t parent, bool leaf) {
    const std::string centroid(code_->bytes(), static_cast<char>(id));
    ASSERT_TRUE(nodes_.Put(id, {parent, 0, leaf, centroid}).ok());
  }
  const std::vector<float> sample_ = {0, 0, 1, 1};
  const std::unique_ptr<Code> code_ =
      *TrainCode({.kind = CodeKind::kSq8, .dimension = 2, .metric = Metric::kL2}, sample_);
  TreeNodes nodes_{code_.get()};
};

TEST_F(Chain, MayBeAsDeepAsThereAreNodes) {
  for (uint32_t id = 1; id <= 500; ++id) Put(id, id - 1, id == 500);
  ASSERT_TRUE(nodes_.Link().ok());
  EXPECT_EQ(nodes_.leaves(), 1u);
  Put(1, 499, false);
  EXPECT_TRUE(absl::IsDataLoss(nodes_.Link())) << "a ring";
}

TEST_F(Chain, PruningTakesWhatIsChildlessAndLiftsAnOnlyChild) {
  // root - 1 - 2, 3; 3 - 4, 5; 5 - 6
  Put(1, 0, false), Put(2, 1, true), Put(3, 1, false), Put(4, 3, true), Put(5, 3, false), Put(6, 5, true);
  ASSERT_TRUE(nodes_.Link().ok());
  EXPECT_EQ(nodes_.leaves(), 3u);
  const TreeNodes::Pruned pruned = nodes_.Prune(6);
  EXPECT_EQ(pruned.gone, (std::vector<uint32_t>{6, 5, 3}));
  EXPECT_EQ(pruned.lifted, 4u);
  EXPECT_EQ(pruned.lifted_to, 1u);
  nodes_.Apply(pruned);
  EXPECT_EQ(nodes_.leaves(), 2u);
  EXPECT_EQ(nodes_.children(1), (std::vector<uint32_t>{2, 4}));
  EXPECT_EQ(nodes_.parent(4), 1u);
  EXPECT_FALSE(nodes_.IsLeaf(6));
}

}  // namespace
}  // namespace larder::index
