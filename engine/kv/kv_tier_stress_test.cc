// Puts, reads, deletes, pins, expiries, evictions and garbage collection at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

constexpr uint64_t kEntry = 3'072;
constexpr int kSeeds = 60, kThreads = 4;

bool Expected(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:  // moved several times while it was read
      return true;
    default:
      return false;
  }
}

// One step of one thread; "" or what went wrong.
std::string Step(TestDatabase& db, std::mt19937& random) {
  const int seed = static_cast<int>(random() % kSeeds);
  const KvKey key = db.Key(seed, seed % 3 == 0 ? "ann" : "bob");
  absl::Status status;
  switch (random() % 10) {
    case 0: case 1: case 2: case 3: status = db.Put(key, seed); break;
    case 4: case 5: case 6: {
      const std::string difference = db.Difference(key, seed);
      const bool gone = difference.empty() || difference.find("NOT_FOUND") == 0 || difference.find("UNAVAILABLE") == 0;
      if (!gone) return difference;
      break;
    }
    case 7: status = db.kv().Delete(key).status(); break;
    case 8: status = db.kv().Pin(key, random() % 4 == 0); break;
    default: status = db.kv().SetTtl(key, absl::Seconds(1 + random() % 100)); break;
  }
  return Expected(status) ? "" : status.ToString();
}

TEST(KvTierStress, AccountsAgreeWithTheStoreAfterwards) {
  TestDatabase db(1 << 16, 0, {.disk_bytes = 30 * kEntry, .tenant_bytes = 25 * kEntry});
  ASSERT_TRUE(db.kv().SetQuota("ann", 8 * kEntry).ok());
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  std::vector<std::string> failures(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 400 && failures[t].empty(); ++i) failures[t] = Step(db, random);
    });
  }
  std::thread keeper([&] {
    while (!stop) {
      db.Advance(absl::Seconds(1));
      EXPECT_TRUE(db.impl().Sweep().ok());
      const auto relocate = [&](const auto& owner, const auto& from, const auto& to, auto* batch) {
        return db.impl().Relocate(owner, from, to, batch);
      };
      EXPECT_TRUE(db.extents().CollectGarbage(relocate).ok());
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  keeper.join();
  EXPECT_THAT(failures, testing::Each(""));

  const KvStats stats = db.kv().Stats().value();
  EXPECT_EQ(stats.tiers[0].entries, static_cast<uint64_t>(db.Count(storage::Counter::kKvEntries)));
  EXPECT_EQ(stats.tiers[0].bytes, stats.tiers[0].entries * kEntry);
  EXPECT_LE(stats.tiers[0].bytes, 30 * kEntry);
  uint64_t bytes = 0;
  for (const KvTenantStats& tenant : stats.tenants) {
    bytes += tenant.bytes;
    EXPECT_LE(tenant.bytes, tenant.quota_bytes) << tenant.tenant;
  }
  EXPECT_EQ(bytes, stats.tiers[0].bytes);
  EXPECT_GT(stats.tiers[0].evictions + stats.tiers[0].expirations, 0u);
  EXPECT_THAT(db.Problems(), testing::IsEmpty());
  db.Reopen();
  db.AwaitFilled();
  EXPECT_EQ(db.kv().Stats()->tiers[0].bytes, stats.tiers[0].bytes);
  EXPECT_EQ(db.kv().Stats()->tiers[0].pinned_entries, stats.tiers[0].pinned_entries);
}

}  // namespace
}  // namespace larder::kv
