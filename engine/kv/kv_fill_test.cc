#include "engine/kv/kv_fill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::IsEmpty;
using storage::Table;

constexpr uint64_t kEntry = 3'072;

std::vector<std::string> SummaryKeys(const TestDatabase& db) {
  std::vector<std::string> keys;
  const auto it = const_cast<TestDatabase&>(db).store().NewIterator(Table::kKvOwners, "s");
  for (; it->Valid(); it->Next()) keys.emplace_back(it->key());
  return keys;
}

bool HashHit(TestDatabase& db, const KvKey& key) {
  return db.kv().Lookup(key.tenant, {{KvCache::Hash(key).value()}}).value()[0].hit;
}

TEST(KvFiller, FindsEveryEntryAgain) {
  TestDatabase db;
  for (int seed = 0; seed < 20; ++seed) ASSERT_TRUE(db.Put(db.Key(seed, seed % 2 ? "ann" : "bob"), seed).ok());
  db.CrashAndReopen();
  db.AwaitFilled();
  for (int seed = 0; seed < 20; ++seed) EXPECT_TRUE(HashHit(db, db.Key(seed, seed % 2 ? "ann" : "bob"))) << seed;
  const KvStats stats = db.kv().Stats().value();
  EXPECT_EQ(stats.directory_entries, 20u);
  EXPECT_EQ(stats.tiers[0].bytes, 20 * kEntry);
  ASSERT_EQ(stats.tenants.size(), 2u);
  EXPECT_EQ(stats.tenants[0].bytes, 10 * kEntry);
}

// As a version wrote it that knew no summaries.
TEST(KvFiller, UpgradesADatabaseWithoutSummaries) {
  TestDatabase db;
  for (int seed = 0; seed < 600; ++seed) ASSERT_TRUE(db.Put(db.Key(seed), seed).ok());
  storage::WriteBatch batch;
  for (const std::string& key : SummaryKeys(db)) batch.Delete(Table::kKvOwners, key);
  ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  db.Reopen();
  db.AwaitFilled();
  EXPECT_EQ(SummaryKeys(db).size(), 600u);
  EXPECT_EQ(db.kv().Stats()->tiers[0].bytes, 600 * kEntry);
  EXPECT_TRUE(HashHit(db, db.Key(599)));
  EXPECT_THAT(db.Problems(), IsEmpty());
  db.Reopen();  // what was added lasts
  EXPECT_EQ(SummaryKeys(db).size(), 600u);
}

TEST(KvFiller, AddsWhatAnOlderVersionPutMeanwhile) {
  TestDatabase db;
  for (int seed = 0; seed < 3; ++seed) ASSERT_TRUE(db.Put(db.Key(seed), seed).ok());
  storage::WriteBatch batch;
  batch.Delete(Table::kKvOwners, SummaryKey(KvCache::Hash(db.Key(1)).value()));
  ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  db.Reopen();
  db.AwaitFilled();
  EXPECT_TRUE(HashHit(db, db.Key(1)));
  EXPECT_EQ(db.kv().Stats()->directory_entries, 3u);
}

TEST(KvFiller, VerifyNamesASummaryThatIsWrong) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  const std::string entry_key = EntryKey("", db.profile_id(), Tokens(1)).value();
  storage::WriteBatch batch;
  batch.Put(Table::kKvOwners, SummaryKey(HashOf(entry_key)), EncodeSummary({entry_key, kEntry + 1, 16, 1.0}));
  const std::string none = EntryKey("", db.profile_id(), Tokens(2)).value();
  batch.Put(Table::kKvOwners, SummaryKey(HashOf(none)), EncodeSummary({none, kEntry, 16, 1.0}));
  ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  EXPECT_THAT(db.Problems(),
              testing::UnorderedElementsAre(testing::HasSubstr("its summary says 3073 bytes, its record 3072"),
                                            testing::HasSubstr("there is a summary, but no entry")));
}

TEST(KvFiller, ClosesWhileItFills) {
  TestDatabase db;
  for (int seed = 0; seed < 50; ++seed) ASSERT_TRUE(db.Put(db.Key(seed), seed).ok());
  for (int i = 0; i < 20; ++i) db.Reopen();
  EXPECT_EQ(db.kv().Lookup({{db.Key(7)}}).value()[0].hit, true);
}

}  // namespace
}  // namespace larder::kv
