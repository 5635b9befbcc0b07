// What was removed leaves the disk and is forgotten.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/escaping.h"
#include "index/tree/tree_test_support.h"
#include "index/tree/vector_group.h"

namespace larder::index {
namespace {

class TreePurge : public ChangingTree {
 protected:
  absl::Status CollectGarbage() {
    return db_.extents
        ->CollectGarbage([this](const auto& owner, const auto& from, const auto& to, auto* batch) {
          return db_.tree->Relocate(owner, from, to, batch);
        })
        .status();
  }
  size_t RowsOf(char tag) {
    size_t rows = 0;
    const auto it = db_.store->NewIterator(storage::Table::kTree, TreeKeys(1).Prefix(tag));
    for (; it->Valid(); it->Next()) ++rows;
    return rows;
  }
};

TEST_F(TreePurge, RemovedRowsLeaveTheirGroupsAndAreForgotten) {
  const uint64_t live = db_.extents->Stats().live_bytes;
  std::vector<Vid> gone;
  for (size_t row = 0; row < kBase; ++row) {
    if (row % 4 != 0) gone.push_back(RowsInMemory::VidOf(row));
  }
  ASSERT_TRUE(db_.tree->Remove(gone).ok());
  EXPECT_EQ(db_.tree->Stats().removed, gone.size());
  const absl::Status maintained = MaintainAll();
  ASSERT_TRUE(maintained.ok()) << maintained;
  const TreeStats stats = db_.tree->Stats();
  EXPECT_LT(stats.removed, kBase / 4 / 7) << "less than an eighth of a group's rows are dead";
  EXPECT_EQ(stats.rows, kBase / 4 + stats.removed) << "each row is live, or known as removed";
  EXPECT_EQ(RowsOf('x'), stats.removed);
  EXPECT_LT(db_.extents->Stats().live_bytes, live * 2 / 3);
  for (int round = 0; round < 2; ++round) {
    for (size_t row = 0; row < kBase; ++row) EXPECT_EQ(Finds(row), row % 4 == 0) << row;
    Reopen();
    EXPECT_EQ(db_.tree->Stats().rows, stats.rows);
  }
  EXPECT_EQ(Problems(), std::vector<std::string>{});
}

TEST_F(TreePurge, AHundredRoundsOfChurnStayBounded) {
  // Rows leave in the order in which they came; their places in the matrix come again under new vids.
  std::map<Vid, size_t> row_of;
  std::vector<Vid> order;
  for (size_t row = 0; row < kBase; ++row) order.push_back(RowsInMemory::VidOf(row));
  for (size_t i = 0; i < kBase; ++i) row_of[order[i]] = i;
  uint64_t seed = 1;
  Vid next = 1'000'000;
  uint64_t most_removed = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<Vid> out, in;
    std::vector<float> vectors;
    for (size_t i = 0; i < kBase / 50; ++i) {
      seed = seed * 6364136223846793005ull + 1442695040888963407ull;
      Vid& vid = order[(seed >> 33) % order.size()];
      if (vid >= next - i) continue;  // of this round
      out.push_back(vid);
      const size_t row = row_of[vid];
      row_of.erase(vid);
      vid = next++;
      row_of[vid] = row;
      in.push_back(vid);
      vectors.insert(vectors.end(), Rows().row(row), Rows().row(row) + kDimension);
    }
    ASSERT_TRUE(db_.tree->Insert(in, vectors).ok());
    ASSERT_TRUE(db_.tree->Remove(out).ok());
    const absl::Status maintained = MaintainAll();
    ASSERT_TRUE(maintained.ok()) << maintained;
    ASSERT_TRUE(CollectGarbage().ok());
    most_removed = std::max(most_removed, db_.tree->Stats().removed);
    if (round % 30 == 29) Reopen();
  }
  const TreeStats stats = db_.tree->Stats();
  EXPECT_LE(most_removed, kBase / 4);
  EXPECT_LE(stats.rows, kBase + kBase / 4);
  EXPECT_LE(stats.entries + stats.deltas, 2 * kBase * 5 / 4);
  for (const auto& [vid, row] : row_of) {
    const auto reply = db_.tree->Search({Rows().row(row), kDimension}, {.postings = 30, .candidates = 80});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->neighbors[0].vid, vid);
  }
  EXPECT_EQ(Problems(), std::vector<std::string>{});
}

TEST_F(TreePurge, UnknownVidsAreForgotten) {
  std::vector<Vid> unknown;
  for (Vid vid = 0; vid < 500; ++vid) unknown.push_back(9'000'000 + vid);
  ASSERT_TRUE(db_.tree->Remove(unknown).ok());
  ASSERT_TRUE(MaintainAll().ok());
  EXPECT_EQ(db_.tree->Stats().removed, 0u);
  EXPECT_EQ(RowsOf('x'), 0u);
}

TEST_F(TreePurge, SearchesBesideItSeeNothingThatIsGoneAndAllThatIsThere) {
  std::atomic<bool> stop{false};
  std::atomic<size_t> removing{0}, removed{0};
  std::thread writer([&] {
    for (size_t row = 0; row + 50 <= kBase / 2; row += 50) {
      removing = row + 50;
      EXPECT_TRUE(RemoveRows(row, 50).ok());
      removed = row + 50;
      EXPECT_TRUE(MaintainAll().ok());
    }
    stop = true;
  });
  size_t searches = 0;
  for (; !stop; ++searches) {
    const size_t gone = removed, row = searches * 37 % kBase;
    const bool found = Finds(row);
    if (row < gone) {
      EXPECT_FALSE(found) << row;
    } else if (row >= removing) {
      EXPECT_TRUE(found) << row;
    }
  }
  writer.join();
  EXPECT_GT(searches, 10u);
}

TEST_F(TreePurge, AKillInTheMiddleForgetsNothingTooEarly) {
  size_t removed = 0;
  for (int round = 0; round < 6; ++round) {
    db_.Close();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (!db_.Open().ok() || !db_.OpenTree().ok() || !RemoveRows(removed, 200).ok()) _exit(1);
      for (uint64_t step = 0;; ++step) {
        const auto more = db_.tree->Maintain();
        if (!more.ok() || write(ends[1], &step, sizeof(step)) != sizeof(step)) _exit(2);
        if (!*more) break;
      }
      const uint64_t idle = 1'000'000;
      if (write(ends[1], &idle, sizeof(idle)) != sizeof(idle)) _exit(3);
      for (;;) pause();
    }
    close(ends[1]);
    removed += 200;
    uint64_t step = 0;
    const uint64_t wanted = 1 + 3 * round;
    while (step < wanted && read(ends[0], &step, sizeof(step)) == sizeof(step)) {
    }
    usleep(1000 * (round * 5 % 7));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    close(ends[0]);
    Reopen();
    for (size_t row = 0; row < kBase; row += 3) EXPECT_EQ(Finds(row), row >= removed) << row << ", round " << round;
    EXPECT_EQ(Problems(), std::vector<std::string>{});
  }
  ASSERT_TRUE(MaintainAll().ok());
  EXPECT_LE(db_.tree->Stats().removed, kBase / 8);
  EXPECT_EQ(db_.tree->Stats().rows, kBase - removed + db_.tree->Stats().removed);
}

TEST(VectorGroup, GoldenBytes) {
  const storage::ExtentPointer pointer{.file = 1, .offset = 4096, .length = 8192, .crc32c = 0x01020304};
  const std::string full = EncodeGroup(VectorGroup::Full(pointer, 9));
  EXPECT_EQ(full, EncodeCounted({pointer, 9}));
  const VectorGroup some = VectorGroup::Of(pointer, 12, {0, 2, 9, 11});
  EXPECT_EQ(absl::BytesToHexString(EncodeGroup(some).substr(24)), "04000000" "0c000000" "050a");
}

TEST(VectorGroup, KnowsWhereItsRowsAre) {
  const VectorGroup full = VectorGroup::Full({}, 3);
  EXPECT_EQ(full.Position(2), 2u);
  EXPECT_EQ(full.Position(3), std::nullopt);
  const VectorGroup some = VectorGroup::Of({}, 200, {0, 63, 64, 130, 199});
  EXPECT_EQ(some.Position(0), 0u);
  EXPECT_EQ(some.Position(1), std::nullopt);
  EXPECT_EQ(some.Position(63), 1u);
  EXPECT_EQ(some.Position(64), 2u);
  EXPECT_EQ(some.Position(130), 3u);
  EXPECT_EQ(some.Position(199), 4u);
  EXPECT_EQ(some.Slots(), (std::vector<uint32_t>{0, 63, 64, 130, 199}));
  EXPECT_EQ(VectorGroup::Of({}, 10, {}).Position(3), std::nullopt);
  const auto decoded = DecodeGroup(EncodeGroup(some));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->present, some.present);
  EXPECT_EQ(decoded->slots, 200u);
}

TEST(VectorGroup, RefusesWhatNoGroupIs) {
  const std::string good = EncodeGroup(VectorGroup::Of({}, 12, {0, 2, 9, 11}));
  for (size_t size = 0; size < good.size(); ++size) {
    if (size == 28) continue;  // a full group of 4 rows
    EXPECT_TRUE(absl::IsDataLoss(DecodeGroup(good.substr(0, size)).status())) << size;
  }
  for (const size_t at : {24, 28, 32, 33}) {
    std::string bad = good;
    bad[at] ^= 0x10;
    EXPECT_TRUE(absl::IsDataLoss(DecodeGroup(bad).status())) << at;
  }
}

}  // namespace
}  // namespace larder::index
