#include "engine/kv/kv_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_test_database.h"
#include "storage/schema.h"

namespace larder::kv {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kEntry = 3'072;  // 16 tokens of 32 bytes, 3 layers, K and V

KvStats Stats(TestDatabase& db) { return db.kv().Stats().value(); }
KvTierStats Disk(TestDatabase& db) { return Stats(db).tiers.at(0); }

KvTenantStats Of(TestDatabase& db, absl::string_view tenant) {
  const KvStats all = Stats(db);
  for (const KvTenantStats& stats : all.tenants) {
    if (stats.tenant == tenant) return stats;
  }
  return {};
}

absl::Status PutWorth(TestDatabase& db, const KvKey& key, int seed, double seconds, bool may_decline = false) {
  KvPutRequest request{key, {}};
  request.compute_seconds = seconds;
  request.may_decline = may_decline;
  const auto handle = db.kv().PutBegin(request);
  if (!handle.ok()) return handle.status();
  if (const absl::Status status = db.PutLayers(*handle, key, seed); !status.ok()) return status;
  return db.kv().PutCommit(*handle);
}

std::vector<bool> Hits(TestDatabase& db, absl::string_view tenant, const std::vector<KvKey>& keys) {
  std::vector<KvKeyHash> hashes;
  for (const KvKey& key : keys) hashes.push_back(KvCache::Hash(key).value());
  std::vector<bool> hits;
  const std::vector<KvLookup> answers = db.kv().Lookup(tenant, hashes).value();
  for (const KvLookup& answer : answers) hits.push_back(answer.hit);
  return hits;
}
bool HashHit(TestDatabase& db, const KvKey& key) { return Hits(db, key.tenant, {key})[0]; }

TEST(KvTier, LooksUpPreparedKeysOfTheirTenantOnly) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1, "ann"), 1).ok());
  const std::vector<KvKeyHash> hashes = {KvCache::Hash(db.Key(1, "ann")).value(),
                                         KvCache::Hash(db.Key(2, "ann")).value(),
                                         KvCache::Hash(db.Key(1, "bob")).value()};
  const auto ann = db.kv().Lookup("ann", hashes).value();
  ASSERT_EQ(ann.size(), 3u);
  EXPECT_TRUE(ann[0].hit);
  EXPECT_EQ(ann[0].bytes, kEntry);
  EXPECT_EQ(ann[0].tokens, 16u);
  EXPECT_FALSE(ann[1].hit);
  EXPECT_FALSE(ann[2].hit);
  const auto bob = db.kv().Lookup("bob", hashes).value();
  for (const KvLookup& answer : bob) EXPECT_FALSE(answer.hit);
}

TEST(KvTier, FollowsPutsDeletesAndDocuments) {
  TestDatabase db;
  const KvOwner owner = db.AddChunk(5);
  ASSERT_TRUE(db.Put(db.Key(1), 1, {owner}).ok());
  ASSERT_TRUE(db.Put(db.Key(2), 2).ok());
  EXPECT_THAT(Hits(db, "", {db.Key(1), db.Key(2)}), testing::ElementsAre(true, true));
  EXPECT_EQ(Disk(db).bytes, 2 * kEntry);
  ASSERT_TRUE(db.DeleteChunks({{5}}).ok());
  EXPECT_THAT(Hits(db, "", {db.Key(1), db.Key(2)}), testing::ElementsAre(false, true));
  ASSERT_TRUE(db.kv().Delete(db.Key(2)).value());
  EXPECT_FALSE(HashHit(db, db.Key(2)));
  EXPECT_EQ(Disk(db).bytes, 0u);
  EXPECT_EQ(Disk(db).entries, 0u);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

// A batch that is given up deletes nothing: the directory says so again.
TEST(KvTier, ABatchThatIsNotWrittenRemovesNothing) {
  TestDatabase db;
  const KvOwner owner = db.AddChunk(5);
  ASSERT_TRUE(db.Put(db.Key(1), 1, {owner}).ok());
  {
    storage::WriteBatch batch;
    const auto guard = db.impl().DropChunks(kCollection, {{5}}, &batch);
    ASSERT_TRUE(guard.ok());
  }
  EXPECT_TRUE(HashHit(db, db.Key(1)));
  EXPECT_EQ(Disk(db).bytes, kEntry);
}

TEST(KvTier, EvictsTheLeastWorthForTheBudget) {
  TestDatabase db(1 << 20, 0, {.disk_bytes = 3 * kEntry});
  ASSERT_TRUE(PutWorth(db, db.Key(1), 1, 3).ok());
  ASSERT_TRUE(PutWorth(db, db.Key(2), 2, 1).ok());
  ASSERT_TRUE(PutWorth(db, db.Key(3), 3, 2).ok());
  ASSERT_TRUE(PutWorth(db, db.Key(4), 4, 9).ok());
  EXPECT_THAT(Hits(db, "", {db.Key(1), db.Key(2), db.Key(3), db.Key(4)}),
              testing::ElementsAre(true, false, true, true));
  EXPECT_FALSE(db.Hit(db.Key(2)));
  EXPECT_EQ(Disk(db).bytes, 3 * kEntry);
  EXPECT_EQ(Disk(db).evictions, 1u);
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 3);
  EXPECT_EQ(db.Difference(db.Key(1), 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvTier, AQuotaEvictsTheTenantsOwnOnly) {
  TestDatabase db(1 << 20, 0, {.tenant_bytes = 2 * kEntry});
  ASSERT_TRUE(PutWorth(db, db.Key(1, "bob"), 1, 0.1).ok());  // worth least of all
  for (int seed = 2; seed <= 4; ++seed) ASSERT_TRUE(PutWorth(db, db.Key(seed, "ann"), seed, seed).ok());
  EXPECT_TRUE(HashHit(db, db.Key(1, "bob")));
  EXPECT_THAT(Hits(db, "ann", {db.Key(2, "ann"), db.Key(3, "ann"), db.Key(4, "ann")}),
              testing::ElementsAre(false, true, true));
  EXPECT_EQ(Of(db, "ann").bytes, 2 * kEntry);
  EXPECT_EQ(Of(db, "ann").evictions, 1u);
  EXPECT_EQ(Of(db, "bob").evictions, 0u);
}

TEST(KvTier, RefusesWhatTheQuotaCannotHold) {
  TestDatabase db;
  ASSERT_TRUE(db.kv().SetQuota("ann", kEntry + 5).ok());
  ASSERT_TRUE(db.Put(db.Key(1, "ann"), 1).ok());
  ASSERT_TRUE(db.kv().Pin(db.Key(1, "ann")).ok());
  ASSERT_TRUE(db.Put(db.Key(1, "bob"), 1).ok());
  const absl::Status refused = db.Put(db.Key(2, "ann"), 2);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant 'ann' puts 3072 bytes"), HasSubstr("quota is 3077 bytes"),
                    HasSubstr("3072 are in use")));
  EXPECT_TRUE(HashHit(db, db.Key(1, "bob")));
  ASSERT_TRUE(db.kv().Pin(db.Key(1, "ann"), false).ok());
  EXPECT_TRUE(db.Put(db.Key(2, "ann"), 2).ok());
  EXPECT_FALSE(HashHit(db, db.Key(1, "ann")));
  // Larger than the quota: nothing is evicted for it.
  ASSERT_TRUE(db.kv().SetQuota("ann", kEntry - 1).ok());
  EXPECT_EQ(db.Put(db.Key(3, "ann"), 3).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(HashHit(db, db.Key(2, "ann")));
}

TEST(KvTier, ALoweredQuotaEvictsInTheBackground) {
  TestDatabase db;
  for (int seed = 1; seed <= 4; ++seed) ASSERT_TRUE(PutWorth(db, db.Key(seed, "ann"), seed, seed).ok());
  db.AwaitFilled();
  ASSERT_TRUE(db.kv().SetQuota("ann", 2 * kEntry).ok());
  EXPECT_EQ(db.impl().Sweep().value(), 2u);
  EXPECT_THAT(Hits(db, "ann", {db.Key(1, "ann"), db.Key(2, "ann"), db.Key(3, "ann")}),
              testing::ElementsAre(false, false, true));
}

TEST(KvTier, QuotasOutliveTheProcess) {
  TestDatabase db(1 << 20, 0, {.tenant_bytes = 100 * kEntry});
  ASSERT_TRUE(db.kv().SetQuota("ann", 2 * kEntry).ok());
  db.Reopen();
  EXPECT_EQ(Of(db, "ann").quota_bytes, 2 * kEntry);
  ASSERT_TRUE(db.kv().SetQuota("ann", std::nullopt).ok());
  EXPECT_EQ(Of(db, "ann").quota_bytes, 100 * kEntry);
  db.Reopen();
  EXPECT_EQ(Of(db, "ann").tenant, "");  // nothing is known of it any more
}

TEST(KvTier, ThePinnedStay) {
  TestDatabase db(1 << 20, 0, {.disk_bytes = 2 * kEntry});
  ASSERT_TRUE(PutWorth(db, db.Key(1), 1, 0.001).ok());
  ASSERT_TRUE(db.kv().Pin(db.Key(1)).ok());
  EXPECT_EQ(Disk(db).pinned_entries, 1u);
  EXPECT_EQ(Disk(db).pinned_bytes, kEntry);
  db.Reopen();
  for (int seed = 2; seed <= 5; ++seed) ASSERT_TRUE(PutWorth(db, db.Key(seed), seed, 5).ok());
  EXPECT_TRUE(HashHit(db, db.Key(1)));
  EXPECT_EQ(Disk(db).entries, 2u);
  ASSERT_TRUE(db.kv().Pin(db.Key(1), false).ok());
  ASSERT_TRUE(PutWorth(db, db.Key(6), 6, 5).ok());
  EXPECT_FALSE(HashHit(db, db.Key(1)));
  EXPECT_EQ(db.kv().Pin(db.Key(1)).code(), absl::StatusCode::kNotFound);
}

TEST(KvTier, AnExpiredEntryIsAMissAtOnceAndGoesSoon) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  ASSERT_TRUE(db.Put(db.Key(2), 2).ok());
  ASSERT_TRUE(db.kv().SetTtl(db.Key(1), absl::Seconds(10)).ok());
  ASSERT_TRUE(db.kv().Pin(db.Key(1)).ok());  // does not keep it from expiring
  ASSERT_TRUE(db.kv().SetTtl(db.Key(2), absl::Seconds(10)).ok());
  ASSERT_TRUE(db.kv().SetTtl(db.Key(2), absl::InfiniteDuration()).ok());
  db.AwaitFilled();
  db.Advance(absl::Seconds(9));
  EXPECT_TRUE(HashHit(db, db.Key(1)));
  EXPECT_TRUE(db.Hit(db.Key(1)));
  db.Advance(absl::Seconds(1));
  EXPECT_FALSE(HashHit(db, db.Key(1)));
  EXPECT_FALSE(db.Hit(db.Key(1)));
  EXPECT_EQ(db.kv().Get(db.Key(1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 2);
  EXPECT_EQ(db.impl().Sweep().value(), 1u);
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 1);
  EXPECT_EQ(Disk(db).expirations, 1u);
  EXPECT_TRUE(db.Hit(db.Key(2)));
  EXPECT_EQ(db.kv().SetTtl(db.Key(2), absl::ZeroDuration()).code(), absl::StatusCode::kInvalidArgument);
}

TEST(KvTier, APutReplacesWhatHasExpired) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  ASSERT_TRUE(db.kv().SetTtl(db.Key(1), absl::Seconds(10)).ok());
  db.Advance(absl::Seconds(10));
  EXPECT_TRUE(db.Put(db.Key(1), 1).ok());
  EXPECT_TRUE(HashHit(db, db.Key(1)));  // without the old one's expiry
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvTier, ANewcomerMayBeDeclinedUntilItsSecondRequest) {
  TestDatabase db(1 << 20, 0, {.disk_bytes = 3 * kEntry});
  // A hot pair amid newcomers teaches the policy that newcomers do not return.
  int seed = 10;
  for (int round = 0; round < 40; ++round) {
    for (const int hot : {1, 2}) {
      if (!db.kv().Get(db.Key(hot)).ok()) {
        PutWorth(db, db.Key(hot), hot, 1, true).IgnoreError();
      }
    }
    for (int i = 0; i < 6; ++i, ++seed) PutWorth(db, db.Key(seed), seed, 1, true).IgnoreError();
  }
  const uint64_t reads = Stats(db).reads;
  EXPECT_GE(reads, 50u);  // of 80; LRU has none
  EXPECT_TRUE(PutWorth(db, db.Key(5), 5, 1, false).ok());  // who insists is not declined
}

TEST(KvTier, CountsWhatItServes) {
  TestDatabase db;
  ASSERT_TRUE(PutWorth(db, db.Key(1, "ann"), 1, 2.5).ok());
  ASSERT_TRUE(db.Put(db.Key(1, "bob"), 1).ok());
  ASSERT_TRUE(db.kv().Get(db.Key(1, "ann")).ok());
  ASSERT_TRUE(db.kv().Get(db.Key(1, "ann"), 1, 1).ok());
  EXPECT_FALSE(db.kv().Get(db.Key(2, "ann")).ok());
  Hits(db, "ann", {db.Key(1, "ann"), db.Key(2, "ann"), db.Key(3, "ann")});
  EXPECT_TRUE(db.Hit(db.Key(1, "ann")));
  const KvTenantStats ann = Of(db, "ann");
  EXPECT_EQ(ann.entries, 1u);
  EXPECT_EQ(ann.bytes, kEntry);
  EXPECT_EQ(ann.hits, 2u);
  EXPECT_EQ(ann.misses, 2u);
  EXPECT_EQ(ann.reads, 1u);  // the second one begins within the entry
  EXPECT_DOUBLE_EQ(ann.saved_seconds, 2.5 + 2.5 / 3);
  const KvTenantStats bob = Of(db, "bob");
  EXPECT_EQ(bob.hits + bob.misses + bob.reads, 0u);
  EXPECT_EQ(Stats(db).hits, 2u);
  EXPECT_DOUBLE_EQ(Stats(db).saved_seconds, ann.saved_seconds);
  EXPECT_EQ(Stats(db).policy, "larder");
}

TEST(KvTier, RefusesSecondsThatAreNone) {
  TestDatabase db;
  EXPECT_EQ(PutWorth(db, db.Key(1), 1, -1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PutWorth(db, db.Key(1), 1, std::numeric_limits<double>::infinity()).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(KvTier, RoomThatAPutDidNotUseIsGivenBack) {
  TestDatabase db(1 << 20, 0, {.disk_bytes = 2 * kEntry});
  for (int i = 0; i < 5; ++i) {
    const KvPutHandle handle = db.kv().PutBegin({db.Key(1), {}}).value();
    ASSERT_TRUE(db.kv().PutAbort(handle).ok());
  }
  ASSERT_TRUE(db.Put(db.Key(2), 2).ok());
  ASSERT_TRUE(db.Put(db.Key(3), 3).ok());
  EXPECT_EQ(Disk(db).evictions, 0u);
}

TEST(KvTier, SweepsDownToAMarginBelowTheBudget) {
  TestDatabase db(1 << 20, 0, {.disk_bytes = 100 * kEntry});
  for (int seed = 0; seed < 100; ++seed) ASSERT_TRUE(db.Put(db.Key(seed), seed).ok());
  EXPECT_EQ(Disk(db).bytes, 100 * kEntry);
  db.AwaitFilled();
  EXPECT_EQ(db.impl().Sweep().value(), 5u);  // above 98 %: down to 95 %
  EXPECT_EQ(Disk(db).bytes, 95 * kEntry);
  EXPECT_EQ(db.impl().Sweep().value(), 0u);
}

}  // namespace
}  // namespace larder::kv
