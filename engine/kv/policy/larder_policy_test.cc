#include "engine/kv/policy/larder_policy.h"

#include <gtest/gtest.h>

namespace larder::kv {
namespace {

bool Any(uint64_t) { return true; }

TEST(LarderPolicy, RanksBySavedSecondsAByteAndAges) {
  LarderPolicy policy(10);  // recency at first: every f is 1
  policy.Insert({1, 2, 8, 0});   // H = 4
  policy.Insert({2, 1, 3, 0});   // 3
  policy.Insert({3, 10, 10, 0});  // 1
  EXPECT_EQ(policy.Victim(Any), 3u);
  policy.Evict(3);              // L = 1
  policy.Insert({4, 2, 3, 0});  // 1 + 1.5
  EXPECT_EQ(policy.Victim(Any), 4u);
  policy.Touch(4);  // f is 1 still
  EXPECT_EQ(policy.Victim(Any), 4u);
  policy.Evict(4);               // L = 2.5
  policy.Insert({5, 10, 10, 0});  // 3.5: above 2, below 1
  EXPECT_EQ(policy.Victim(Any), 2u);
  policy.Evict(2);  // L = 3
  EXPECT_EQ(policy.Victim(Any), 5u);
}

TEST(LarderPolicy, ATenantThatChurnsWithinItsQuotaAgesNobodyElse) {
  LarderPolicy policy(10);
  policy.Insert({1, 1, 2, /*tenant=*/7});  // H = 2, l = 0
  policy.Insert({2, 1, 5, 8});             // H = 5, l = 0
  policy.Insert({3, 1, 4, 8});             // H = 4
  EXPECT_EQ(policy.VictimOf(8, Any), 3u);
  policy.Evict(3);              // l of 8 = 4, L = 0
  policy.Insert({4, 1, 3, 8});  // H = 0 + 4 + 3 = 7, 3 above its l
  // Above their l: 1 has 2, 2 has 1 (it aged with its tenant), 4 has 3.
  EXPECT_EQ(policy.Victim(Any), 2u);
  policy.Evict(2);  // L = 1
  EXPECT_EQ(policy.Victim(Any), 1u);
  policy.Insert({5, 1, 1.5, 7});  // 1 + 1.5 = 2.5
  policy.Evict(1);                // L = 2
  EXPECT_EQ(policy.Victim(Any), 5u);
  policy.Evict(5);
  EXPECT_EQ(policy.Victim(Any), 4u);
}

TEST(LarderPolicy, AQuotasVictimIsTheTenantsOwn) {
  LarderPolicy policy(10);
  policy.Insert({1, 1, 1, 7});
  policy.Insert({2, 1, 100, 8});
  policy.Insert({3, 1, 200, 8});
  EXPECT_EQ(policy.VictimOf(8, Any), 2u);
  EXPECT_EQ(policy.VictimOf(8, [](uint64_t id) { return id == 3; }), 3u);
  EXPECT_EQ(policy.VictimOf(9, Any), std::nullopt);
  EXPECT_EQ(policy.Victim(Any), 1u);
}

// A hot pair amid ids that never return: the contest finds that newcomers need to prove themselves, and
// frequencies survive eviction.
TEST(LarderPolicy, KeepsWhatReturnsAmidAScan) {
  LarderPolicy policy(4);
  uint64_t fresh = 1'000, bytes = 0;
  int hits = 0;
  absl::flat_hash_map<uint64_t, bool> resident;
  const auto request = [&](uint64_t id) {
    const KvObject object{id, 1, 1, 0};
    if (resident[id]) {
      policy.Touch(id);
      return true;
    }
    if (!policy.Admit(object)) return false;
    policy.Insert(object);
    resident[id] = true;
    for (++bytes; bytes > 3; --bytes) {
      const uint64_t victim = policy.Victim(Any).value();
      policy.Evict(victim);
      resident[victim] = false;
    }
    return false;
  };
  for (int round = 0; round < 100; ++round) {
    for (const uint64_t id : {1, 2}) hits += request(id);
    for (int i = 0; i < 6; ++i) request(fresh++);
  }
  EXPECT_NE(policy.weighting(), Weighting::kRecency);
  EXPECT_GE(hits, 180);  // of 200; LRU has none
}

}  // namespace
}  // namespace larder::kv
