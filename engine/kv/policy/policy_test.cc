#include "engine/kv/policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "absl/container/flat_hash_map.h"

namespace larder::kv {
namespace {

using ::testing::ElementsAre;

KvObject Of(uint64_t id, uint64_t bytes = 1, double saved = 1, uint32_t tenant = 0) {
  return {id, bytes, saved, tenant};
}

bool Any(uint64_t) { return true; }

std::unique_ptr<EvictionPolicy> Make(absl::string_view name) { return MakePolicy(name, 100).value(); }

// Evicts until nothing is left.
std::vector<uint64_t> Drain(EvictionPolicy* policy) {
  std::vector<uint64_t> order;
  while (const auto victim = policy->Victim(Any)) {
    order.push_back(*victim);
    policy->Evict(*victim);
  }
  return order;
}

TEST(LruPolicy, GivesUpWhatWasUsedLongestAgo) {
  const auto lru = Make("lru");
  for (const uint64_t id : {1, 2, 3, 4}) lru->Insert(Of(id));
  lru->Touch(1);
  lru->Touch(3);
  lru->Erase(4);
  EXPECT_THAT(Drain(lru.get()), ElementsAre(2, 1, 3));
}

TEST(LfuPolicy, GivesUpTheLeastUsedThenTheOldest) {
  const auto lfu = Make("lfu");
  for (const uint64_t id : {1, 2, 3}) lfu->Insert(Of(id));
  lfu->Touch(1);  // 1: 2 uses
  lfu->Touch(2);
  lfu->Touch(2);  // 2: 3 uses
  lfu->Insert(Of(4));
  EXPECT_THAT(Drain(lfu.get()), ElementsAre(3, 4, 1, 2));
}

TEST(GdsfPolicy, RanksByUsesTimesCostBySizeAndAges) {
  const auto gdsf = Make("gdsf");
  gdsf->Insert(Of(1, /*bytes=*/2, /*saved=*/8));  // H = 0 + 4
  gdsf->Insert(Of(2, 1, 3));                      // 3
  gdsf->Insert(Of(3, 10, 10));                    // 1
  gdsf->Touch(3);                                 // 2
  EXPECT_EQ(gdsf->Victim(Any), 3u);
  gdsf->Evict(3);               // L = 2
  gdsf->Insert(Of(4, 2, 3));    // 2 + 1.5 = 3.5
  EXPECT_EQ(gdsf->Victim(Any), 2u);
  gdsf->Evict(2);               // L = 3
  gdsf->Insert(Of(5, 2, 1.5));  // 3.75
  EXPECT_THAT(Drain(gdsf.get()), ElementsAre(4, 5, 1));
}

TEST(GdsfPolicy, ErasedObjectsAgeNobody) {
  const auto gdsf = Make("gdsf");
  gdsf->Insert(Of(1, 1, 100));
  gdsf->Erase(1);            // L stays 0
  gdsf->Insert(Of(2, 1, 5));
  gdsf->Insert(Of(3, 1, 1));
  EXPECT_THAT(Drain(gdsf.get()), ElementsAre(3, 2));
}

// Sizes of 1, small queue = a tenth: of 10 or 11 objects, one.
TEST(S3FifoPolicy, NewcomersLeaveFirstUnlessUsed) {
  const auto fifo = Make("s3-fifo");
  for (uint64_t id = 0; id < 10; ++id) fifo->Insert(Of(id));
  fifo->Touch(0);  // used in the small queue: goes to the main one instead of out
  EXPECT_EQ(fifo->Victim(Any), 1u);
  fifo->Evict(1);
  fifo->Evict(*fifo->Victim(Any));  // 2
  fifo->Insert(Of(2));              // its ghost is known: straight to the main queue, behind 0
  fifo->Insert(Of(1));              // its ghost was pushed out, for the main queue held one: a newcomer
  std::vector<uint64_t> order = Drain(fifo.get());
  // 3 to 9, then 1 leave the small queue until it is a tenth of what is left; then the main queue goes.
  EXPECT_THAT(order, ElementsAre(3, 4, 5, 6, 7, 8, 9, 1, 0, 2));
}

TEST(S3FifoPolicy, MainQueueGivesUsedObjectsAnotherRound) {
  const auto fifo = Make("s3-fifo");
  for (uint64_t id = 0; id < 4; ++id) fifo->Insert(Of(id));
  for (const uint64_t id : {0, 1, 2, 3}) fifo->Touch(id);  // all pass to the main queue when scanned
  EXPECT_EQ(fifo->Victim(Any), 0u);
  fifo->Touch(0);
  fifo->Touch(0);
  fifo->Touch(1);
  EXPECT_THAT(Drain(fifo.get()), ElementsAre(2, 3, 1, 0));
}

class AllPolicies : public testing::TestWithParam<std::string> {};

TEST_P(AllPolicies, PassesOverWhatMayNotGo) {
  const auto policy = Make(GetParam());
  for (const uint64_t id : {1, 2, 3}) policy->Insert(Of(id, 1, 1, id % 2));
  EXPECT_EQ(policy->Victim([](uint64_t id) { return id == 2; }), 2u);
  EXPECT_EQ(policy->Victim([](uint64_t) { return false; }), std::nullopt);
  EXPECT_EQ(policy->VictimOf(0, Any), 2u);
  EXPECT_EQ(policy->VictimOf(9, Any), std::nullopt);
  EXPECT_EQ(policy->VictimOf(1, [](uint64_t id) { return id == 3; }), 3u);
}

TEST_P(AllPolicies, IgnoresWhatIsNotResident) {
  const auto policy = Make(GetParam());
  policy->Touch(1);
  policy->Erase(1);
  policy->Evict(1);
  EXPECT_EQ(policy->Victim(Any), std::nullopt);
}

// Against a set of what is resident: no victim twice, none that left.
TEST_P(AllPolicies, AgreesWithAModelOverRandomCalls) {
  const auto policy = Make(GetParam());
  std::mt19937 random(7);
  std::set<uint64_t> resident;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t id = random() % 300;
    if (resident.contains(id)) {
      random() % 8 == 0 ? (policy->Erase(id), resident.erase(id), void()) : policy->Touch(id);
    } else if (policy->Admit(Of(id, 1 + id % 5, 1, id % 3))) {
      policy->Insert(Of(id, 1 + id % 5, 1, id % 3));
      resident.insert(id);
    }
    if (resident.size() <= 100) continue;
    const auto victim = i % 2 == 0 ? policy->Victim(Any) : policy->VictimOf(*resident.begin() % 3, Any);
    ASSERT_TRUE(victim.has_value());
    ASSERT_EQ(resident.erase(*victim), 1u) << *victim;
    policy->Evict(*victim);
  }
  EXPECT_EQ(Drain(policy.get()).size(), resident.size());
}

// Many resident objects, a million of ours: every operation stays within some microseconds.
TEST_P(AllPolicies, HoldsManyObjects) {
  const uint64_t kObjects = GetParam() == "larder" ? 1'000'000 : 100'000, kCalls = 100'000;
  const auto policy = MakePolicy(GetParam(), kObjects).value();
  for (uint64_t id = 0; id < kObjects; ++id) policy->Insert(Of(id, 1 + id % 64));
  std::mt19937_64 random(1);
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < kCalls; ++i) {
    policy->Touch(random() % kObjects);
    policy->Evict(*policy->Victim(Any));
    policy->Insert(Of(kObjects + i, 1 + i % 64));
  }
  const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  RecordProperty("us_per_touch_evict_insert", std::to_string(us / kCalls));
  EXPECT_LT(us / kCalls, 200) << "microseconds for one touch, eviction and insertion";
}

INSTANTIATE_TEST_SUITE_P(Names, AllPolicies, testing::ValuesIn(PolicyNames()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

TEST(MakePolicy, NamesWhatItKnows) {
  const auto policy = MakePolicy("arc", 10);
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(policy.status().message()),
              testing::HasSubstr("found 'arc', expected one of lru, lfu, s3-fifo, gdsf, larder"));
}

}  // namespace
}  // namespace larder::kv
