#include "engine/kv/kv_prefetch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

constexpr uint64_t kPoolBytes = 16 << 20;

bool InMemory(TestDatabase& db, const KvKey& key) { return db.impl().pool()->Contains(*EntryKey(key)); }

void AwaitInMemory(TestDatabase& db, const KvKey& key) {
  for (int i = 0; i < 5'000 && !InMemory(db, key); ++i) absl::SleepFor(absl::Milliseconds(1));
}

TEST(KvPrefetch, BringsTheEntriesOfTheChunksUnderTheProfile) {
  TestDatabase db(1 << 20, kPoolBytes);
  KvProfile other = SmallProfile();
  other.model = "other";
  const std::string other_id = db.kv().RegisterProfile(other).value();
  const KvKey wanted = db.Key(1), second = db.Key(2), not_found = db.Key(3);
  KvKey of_other = db.Key(1);
  of_other.profile_id = other_id;
  ASSERT_TRUE(db.Put(wanted, 1, {db.AddChunk(7)}).ok());
  ASSERT_TRUE(db.Put(of_other, 1, {db.AddChunk(7)}).ok());
  ASSERT_TRUE(db.Put(not_found, 3, {db.AddChunk(8)}).ok());
  ASSERT_TRUE(db.Put(second, 2, {db.AddChunk(9)}).ok());
  db.Reopen();
  ASSERT_EQ(db.impl().pool()->Stats().entries, 0u);
  ASSERT_TRUE(db.impl().CheckPrefetch(db.profile_id()).ok());
  db.impl().Prefetch(kCollection, {7, 12345, 9}, db.profile_id());
  AwaitInMemory(db, second);  // the last
  EXPECT_TRUE(InMemory(db, second));
  EXPECT_TRUE(InMemory(db, wanted));
  EXPECT_FALSE(InMemory(db, of_other));
  EXPECT_FALSE(InMemory(db, not_found));
  EXPECT_EQ(db.impl().pool()->Stats().entries, 2u);
}

TEST(KvPrefetch, OfTooManyChunksTheLatestRequestsAreKept) {
  TestDatabase db(1 << 20, kPoolBytes);
  ASSERT_TRUE(db.Put(db.Key(1), 1, {db.AddChunk(7)}).ok());
  ASSERT_TRUE(db.Put(db.Key(2), 2, {db.AddChunk(8)}).ok());
  db.Reopen();
  // One request keeps its best; what was asked for before gives way.
  std::vector<uint64_t> many(2 * kMaxPrefetchChunks, 99);
  many.front() = 7;
  many.back() = 8;
  db.impl().Prefetch(kCollection, many, db.profile_id());
  AwaitInMemory(db, db.Key(1));
  EXPECT_TRUE(InMemory(db, db.Key(1)));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_FALSE(InMemory(db, db.Key(2)));
}

TEST(KvPrefetch, SaysWhatItNeeds) {
  TestDatabase with(1 << 20, kPoolBytes), without;
  EXPECT_EQ(with.impl().CheckPrefetch(std::string(64, 'a')).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(without.impl().CheckPrefetch(without.profile_id()).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(KvPrefetch, StopsWithWorkLeft) {
  TestDatabase db(1 << 20, kPoolBytes);
  for (int seed = 1; seed <= 20; ++seed) ASSERT_TRUE(db.Put(db.Key(seed), seed, {db.AddChunk(seed)}).ok());
  for (int i = 0; i < 5; ++i) {
    db.Reopen();
    db.impl().Prefetch(kCollection, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, db.profile_id());
  }
}

}  // namespace
}  // namespace larder::kv
