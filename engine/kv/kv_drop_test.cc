#include "engine/kv/kv_drop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(KvDrop, AnEntryLivesUntilItsLastChunkGoes) {
  TestDatabase db;
  const KvKey shared = db.Key(1), single = db.Key(2), free = db.Key(3);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2);
  ASSERT_TRUE(db.Put(shared, 1, {one, two}).ok());
  ASSERT_TRUE(db.Put(single, 2, {one}).ok());
  ASSERT_TRUE(db.Put(free, 3).ok());
  ASSERT_TRUE(db.DeleteChunks({1}).ok());
  EXPECT_EQ(db.Difference(shared, 1), "");
  EXPECT_FALSE(db.Hit(single));
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.DeleteChunks({2, 5}).ok());
  EXPECT_FALSE(db.Hit(shared));
  EXPECT_EQ(db.Difference(free, 3), "") << "an entry that never had an owner stays";
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 1);
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 6);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvDrop, OneCallTakesAnEntryFromAllItsChunks) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2);
  ASSERT_TRUE(db.Put(key, 1, {one, two}).ok());
  ASSERT_TRUE(db.DeleteChunks({1, 2, 1}).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 0);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvDrop, HappensWithTheRestOfTheBatchOrNotAtAll) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(1)}).ok());
  const uint64_t live = db.extents().Stats().live_bytes;
  {
    storage::WriteBatch batch;
    batch.Put(storage::Table::kSources, "row", "value");
    const auto guard = db.impl().DropChunks(kCollection, {1}, &batch);
    ASSERT_TRUE(guard.ok());
    EXPECT_FALSE(batch.empty());
    // The caller's write fails, or it gives up: the batch is never written.
  }
  EXPECT_EQ(db.Difference(key, 1), "");
  db.CrashAndReopen();
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_EQ(db.extents().Stats().live_bytes, live);
  storage::WriteBatch batch;
  batch.Put(storage::Table::kSources, "row", "value");
  {
    const auto guard = db.impl().DropChunks(kCollection, {1}, &batch);
    ASSERT_TRUE(guard.ok());
    ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  }
  db.CrashAndReopen();
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(*db.store().Get(storage::Table::kSources, "row"), "value");
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
}

TEST(KvDrop, ACollectionTakesItsEntriesAndNoOther) {
  TestDatabase db;
  const KvKey mine = db.Key(1), shared = db.Key(2), theirs = db.Key(3);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2);
  ASSERT_TRUE(db.Put(mine, 1, {one, two}).ok());
  ASSERT_TRUE(db.Put(shared, 2, {one}).ok());
  ASSERT_TRUE(db.Put(theirs, 3, {two}).ok());
  // Chunk 9 of collection 8 owns two of them as well.
  storage::WriteBatch rows;
  for (const KvKey& key : {shared, theirs}) {
    const OwnerRow row{8, 9, *EntryKey("", key.profile_id, key.tokens)};
    rows.Put(storage::Table::kKvOwners, ChunkOwnerKey(row), "");
    rows.Put(storage::Table::kKvOwners, EntryOwnerKey(row), "");
  }
  ASSERT_TRUE(db.store().Write(std::move(rows)).ok());
  for (const uint32_t collection : {kCollection, 8u}) {
    storage::WriteBatch batch;
    const auto guard = db.impl().DropCollection(collection, &batch);
    ASSERT_TRUE(guard.ok());
    ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
    EXPECT_FALSE(db.Hit(mine));
    EXPECT_EQ(db.Hit(shared), collection == kCollection);
    EXPECT_EQ(db.Hit(theirs), collection == kCollection);
  }
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 0);
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 0);
}

TEST(KvDrop, TheGuardHoldsBackPutsOfTheSameChunk) {
  TestDatabase db;
  const KvKey key = db.Key(1), other = db.Key(2);
  const KvPutHandle handle = *db.kv().PutBegin({key, {db.AddChunk(1)}});
  ASSERT_TRUE(db.PutLayers(handle, key, 1).ok());
  storage::WriteBatch batch;
  auto guard = db.impl().DropChunks(kCollection, {1}, &batch);
  absl::Notification committed;
  absl::Status status;
  std::thread committer([&] {
    status = db.kv().PutCommit(handle);
    committed.Notify();
  });
  EXPECT_FALSE(committed.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
  EXPECT_TRUE(db.Put(other, 2, {db.AddChunk(2)}).ok()) << "another chunk must not wait";
  *guard = KvDropGuard();
  committer.join();
  EXPECT_TRUE(status.ok()) << status;
}

// Documents that share entries come and go while producers put: nothing may leak, and nothing may be
// there whose owners are all gone.
TEST(KvDrop, StandsConcurrentPutsAndDeletes) {
  TestDatabase db(/*extent_file_bytes=*/64 << 10);
  constexpr int kRounds = 30, kChunks = 6, kKeys = 8;
  std::atomic<uint64_t> next_vid = 1;
  std::atomic<int> unexpected = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int round = 0; round < kRounds; ++round) {
        std::vector<KvOwner> owners;
        std::vector<uint64_t> vids;
        for (int i = 0; i < kChunks; ++i) {
          vids.push_back(next_vid++);
          owners.push_back(db.AddChunk(vids.back()));
        }
        for (int i = 0; i < 4; ++i) {
          const int seed = static_cast<int>(random() % kKeys);
          const KvKey key = db.Key(seed);
          const std::vector<KvOwner> some(owners.begin() + i, owners.begin() + i + 2);
          absl::Status put = db.Put(key, seed, some);
          if (absl::IsAlreadyExists(put)) put = db.kv().AddOwners(key, some).status();
          if (!put.ok() && !absl::IsNotFound(put)) ++unexpected;
          const std::string difference = db.Difference(key, seed);
          if (!difference.empty() && difference.find("NOT_FOUND") == std::string::npos) ++unexpected;
        }
        if (random() % 8 == 0) {
          const auto deleted = db.kv().Delete(db.Key(static_cast<int>(random() % kKeys)));
          if (!deleted.ok()) ++unexpected;
        }
        if (!db.DeleteChunks(vids).ok()) ++unexpected;
      }
    });
  }
  std::thread collector([&] {
    for (int i = 0; i < 20; ++i) {
      const auto freed =
          db.extents().CollectGarbage([&](const auto& owner, const auto& from, const auto& to, auto* batch) {
            return db.impl().Relocate(owner, from, to, batch);
          });
      if (!freed.ok()) ++unexpected;
      absl::SleepFor(absl::Milliseconds(10));
    }
  });
  for (std::thread& thread : threads) thread.join();
  collector.join();
  EXPECT_EQ(unexpected.load(), 0);
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 0) << "every owner is gone";
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 0);
  EXPECT_FALSE(db.store().NewIterator(storage::Table::kKvOwners, "")->Valid());
  EXPECT_THAT(db.Problems(), IsEmpty());
}

}  // namespace
}  // namespace larder::kv
