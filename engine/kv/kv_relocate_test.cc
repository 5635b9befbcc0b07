#include "engine/kv/kv_relocate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::IsEmpty;

absl::StatusOr<uint64_t> Collect(TestDatabase* db) {
  return db->extents().CollectGarbage([db](const auto& owner, const auto& from, const auto& to, auto* batch) {
    return db->impl().Relocate(owner, from, to, batch);
  });
}

// Entries of 6 extents of a block each, in files that hold a few of them.
TEST(KvRelocate, EntriesStayReadableWhenTheirExtentsMove) {
  TestDatabase db(/*extent_file_bytes=*/128 << 10);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(db.Put(db.Key(i), i).ok());
  for (int i = 0; i < 40; ++i) {
    if (i % 5 == 0) continue;
    ASSERT_TRUE(*db.kv().Delete(db.Key(i)));
  }
  const storage::ExtentStats before = db.extents().Stats();
  const storage::ExtentPointer old = db.Record(db.Key(0))->layers[0].k;
  const auto freed = Collect(&db);
  ASSERT_TRUE(freed.ok()) << freed.status();
  EXPECT_GT(*freed, 0u);
  EXPECT_LT(db.extents().Stats().bytes, before.bytes / 2);
  EXPECT_FALSE(Holds(*db.Record(db.Key(0)), old)) << "nothing moved";
  for (int i = 0; i < 40; i += 5) EXPECT_EQ(db.Difference(db.Key(i), i), "") << i;
  EXPECT_THAT(db.Problems(), IsEmpty());
  db.CrashAndReopen();
  for (int i = 0; i < 40; i += 5) EXPECT_EQ(db.Difference(db.Key(i), i), "") << i;
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvRelocate, ReadersNeverSeeAMoveGoWrong) {
  TestDatabase db(/*extent_file_bytes=*/64 << 10);
  ASSERT_TRUE(db.Put(db.Key(0), 0).ok());
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::vector<std::string> differences;
  std::thread reader([&] {
    while (!stop || reads < 50) {
      const std::string difference = db.Difference(db.Key(0), 0);
      if (!difference.empty()) differences.push_back(difference);
      ++reads;
    }
  });
  for (int round = 1; round <= 10; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(db.Put(db.Key(round * 10 + i), i).ok());
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(*db.kv().Delete(db.Key(round * 10 + i)));
    EXPECT_TRUE(Collect(&db).ok());
  }
  stop = true;
  reader.join();
  EXPECT_THAT(differences, IsEmpty());
}

TEST(KvRelocate, DisownsWhatItDoesNotHoldAndWritesWhatItDoes) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  const std::string entry_key = *EntryKey("", key.profile_id, key.tokens);
  const storage::ExtentOwner owner{storage::Table::kKvEntries, entry_key};
  const storage::ExtentPointer held = db.Record(key)->layers[1].v, to{9, 4096, 512, 1},
                               strange{8, 4096, 512, 1};
  const uint64_t commit = db.store().state().commit;
  storage::WriteBatch batch;
  EXPECT_FALSE(*db.impl().Relocate({storage::Table::kKvEntries, "none"}, held, to, &batch));
  EXPECT_FALSE(*db.impl().Relocate(owner, strange, to, &batch));
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(db.store().state().commit, commit);
  batch.Put(storage::Table::kSources, "row", "moves with it");
  EXPECT_TRUE(*db.impl().Relocate(owner, held, to, &batch));
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(*db.store().Get(storage::Table::kSources, "row"), "moves with it");
  EXPECT_EQ(db.Record(key)->layers[1].v, to);
}

TEST(KvRelocate, WaitsForADropUnderWay) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(1)}).ok());
  const std::string entry_key = *EntryKey("", key.profile_id, key.tokens);
  const storage::ExtentPointer held = db.Record(key)->layers[1].v, to{9, 4096, 512, 1};
  storage::WriteBatch drop, move;
  auto guard = db.impl().DropChunks(kCollection, {1}, &drop);
  absl::Notification done;
  absl::StatusOr<bool> moved;
  std::thread mover([&] {
    moved = db.impl().Relocate({storage::Table::kKvEntries, entry_key}, held, to, &move);
    done.Notify();
  });
  EXPECT_FALSE(done.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
  ASSERT_TRUE(db.store().Write(std::move(drop)).ok());
  *guard = KvDropGuard();
  mover.join();
  EXPECT_FALSE(*moved) << "a deleted entry came back";
  EXPECT_FALSE(db.Hit(key));
}

}  // namespace
}  // namespace larder::kv
