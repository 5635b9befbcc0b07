#include "engine/kv/kv_read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(KvLookup, AnswersAThousandKeysInOrder) {
  TestDatabase db;
  std::vector<KvKey> keys;
  for (int i = 0; i < 1'000; ++i) keys.push_back(db.Key(i));
  for (int i = 0; i < 1'000; i += 50) ASSERT_TRUE(db.Put(keys[i], i).ok());
  const auto answers = *db.kv().Lookup(keys);
  ASSERT_THAT(answers, SizeIs(1'000));
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(answers[i].hit, i % 50 == 0) << i;
    EXPECT_EQ(answers[i].tokens, i % 50 == 0 ? 16u : 0u);
    EXPECT_EQ(answers[i].bytes, i % 50 == 0 ? 3u * 2 * 512 : 0u);
  }
}

TEST(KvLookup, IsAMissForAnotherTenantProfileOrUnknownProfile) {
  TestDatabase db;
  KvProfile other = SmallProfile();
  other.adapter = "lora@1";
  const std::string other_id = *db.kv().RegisterProfile(other);
  const KvKey key = db.Key(1, "a");
  ASSERT_TRUE(db.Put(key, 1).ok());
  EXPECT_TRUE(db.Hit(key));
  for (const KvKey& foreign : {db.Key(1, "b"), db.Key(1, ""), KvKey{"a", other_id, key.tokens},
                               KvKey{"a", std::string(64, '0'), key.tokens}}) {
    EXPECT_FALSE(db.Hit(foreign));
    EXPECT_EQ(db.kv().Get(foreign).status().code(), absl::StatusCode::kNotFound);
    EXPECT_FALSE(*db.kv().Delete(foreign));
  }
  EXPECT_TRUE(db.Hit(key));
}

TEST(KvLookup, NamesTheBadKeyAndRefusesTooMany) {
  TestDatabase db;
  KvKey bad = db.Key(1);
  bad.tokens = {1, -7};
  const std::vector<KvKey> keys = {db.Key(1), bad};
  const auto answers = db.kv().Lookup(keys);
  EXPECT_EQ(answers.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(answers.status().message()), AllOf(HasSubstr("key 1"), HasSubstr("token 1 is -7")));
  EXPECT_EQ(db.kv().Lookup(std::vector<KvKey>(65'537, db.Key(1))).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(*db.kv().Lookup({}), IsEmpty());
}

// A record that stands under the right key but is of other tokens: a collision, or a copy gone astray.
TEST(KvLookup, ComparesTokensAndDoesNotTrustTheHash) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  Entry entry = *db.Record(key);
  std::vector<int32_t> tokens = key.tokens;
  ++tokens.back();
  entry.header.tokens = EncodeTokens(tokens);
  storage::WriteBatch batch;
  batch.Put(storage::Table::kKvEntries, *EntryKey("", key.profile_id, key.tokens), EncodeEntry(entry));
  ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.kv().Get(key).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(
      std::string(db.kv().Get(key).status().message()),
      HasSubstr(absl::StrCat("is another's: token 15 is ", tokens.back(), ", expected ", key.tokens.back())));
  EXPECT_THAT(db.Problems(), ::testing::ElementsAre(HasSubstr("its tokens hash to")));
  ASSERT_TRUE(db.Put(key, 2).ok()) << "what is no entry must make room";
  EXPECT_EQ(db.Difference(key, 2), "");
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 1);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvLookup, NamesTheFieldInWhichARecordIsAnothers) {
  TestDatabase db;
  const std::vector<std::pair<std::function<void(EntryHeader*)>, std::string>> cases = {
      {[](EntryHeader* h) { h->tenant = "mallory"; }, "tenant is 'mallory', expected ''"},
      {[](EntryHeader* h) { h->profile_id = std::string(64, 'a'); }, "profile is 'aaaa"},
      {[](EntryHeader* h) { h->token_count = 15, h->tokens = EncodeTokens(Tokens(1, 15)); },
       "token count is 15, expected 16"},
      {[](EntryHeader* h) { h->variant = KvVariantKind::kSourceSet, h->context = std::string(32, 'c'); },
       "variant is 3, expected 0"},
  };
  for (const auto& [change, message] : cases) {
    const KvKey key = db.Key(1);
    ASSERT_TRUE(db.Put(key, 1).ok());
    Entry entry = *db.Record(key);
    change(&entry.header);
    storage::WriteBatch batch;
    batch.Put(storage::Table::kKvEntries, *EntryKey(key), EncodeEntry(entry));
    ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
    EXPECT_FALSE(db.Hit(key)) << message;
    const absl::Status status = db.kv().Get(key).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(KvVariants, LieSideBySideAndAreNotTakenForOneAnother) {
  TestDatabase db;
  std::vector<KvKey> keys = {db.Key(1), db.Key(1), db.Key(1), db.Key(1)};
  const std::string a = KvTokenHash(Tokens(2)), b = KvTokenHash(Tokens(3));
  keys[1].variant = {KvVariantKind::kSharedPrefix, {a}};
  keys[2].variant = {KvVariantKind::kOrderedPrefix, {a, b}};
  keys[3].variant = {KvVariantKind::kSourceSet, {b, a}};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db.Put(keys[i], i, {db.AddChunk(i + 1)}).ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(db.Difference(keys[i], i), "") << i;
  EXPECT_FALSE(db.Hit(keys[3]));
  ASSERT_TRUE(db.Put(keys[3], 3).ok());
  db.Reopen();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(db.Difference(keys[i], i), "") << i;
  keys[3].variant.context = {a, b};
  EXPECT_EQ(db.Difference(keys[3], 3), "") << "a set has no order";
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.DeleteChunks({2}).ok());
  EXPECT_FALSE(db.Hit(keys[1]));
  EXPECT_TRUE(*db.kv().Delete(keys[2]));
  EXPECT_EQ(db.Difference(keys[0], 0), "");
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 2);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

// LMCache issue 4663: a new order of chunks that are there must find all of them and add nothing.
TEST(KvReorder, ANewOrderOfTheSameChunksAddsNoKey) {
  TestDatabase db;
  std::vector<std::vector<int32_t>> chunks;
  for (int i = 0; i < 14; ++i) chunks.push_back(Tokens(i, 20 + i));
  std::mt19937 random(4663);
  uint64_t misses = 0;
  for (int order = 0; order < 20; ++order) {
    std::shuffle(chunks.begin(), chunks.end(), random);
    const KvPlan plan = *db.kv().Plan({"", db.profile_id(), chunks, 0});
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (plan.items[i].hit) continue;
      ++misses;
      ASSERT_TRUE(db.Put({"", db.profile_id(), chunks[i]}, static_cast<int>(chunks[i].size())).ok());
    }
    EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 14) << "order " << order;
    EXPECT_EQ(db.Count(storage::Counter::kExtents), 14 * 6) << "order " << order;
  }
  EXPECT_EQ(misses, 14u);
  for (const auto& chunk : chunks) {
    EXPECT_EQ(db.Difference({"", db.profile_id(), chunk}, static_cast<int>(chunk.size())), "");
  }
}

TEST(KvGet, ReadsAnyRangeOfLayers) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  for (uint32_t first = 0; first < 3; ++first) {
    for (uint32_t count = 0; first + count <= 3; ++count) {
      const auto layers = *db.kv().Get(key, first, count);
      ASSERT_EQ(layers.size(), count == 0 ? 3 - first : count);
      for (uint32_t i = 0; i < layers.size(); ++i) {
        EXPECT_EQ(layers[i].layer, first + i);
        EXPECT_EQ(layers[i].k, Payload(512, 1, first + i, false));
        EXPECT_EQ(layers[i].v, Payload(512, 1, first + i, true));
      }
    }
  }
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  for (const auto& [first, count] :
       std::vector<std::pair<uint32_t, uint32_t>>{{3, 0}, {0, 4}, {2, 2}, {1, kMax}, {kMax, 1}}) {
    EXPECT_EQ(db.kv().Get(key, first, count).status().code(), absl::StatusCode::kInvalidArgument) << first;
  }
}

TEST(KvGet, DropsADamagedEntryAndNamesWhatIsDamaged) {
  TestDatabase db;
  const KvKey key = db.Key(1), other = db.Key(2);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(1)}).ok());
  ASSERT_TRUE(db.Put(other, 2, {db.AddChunk(2)}).ok());
  db.Damage(db.Record(key)->layers[1].v);
  EXPECT_TRUE(db.kv().Get(key, 0, 1).ok()) << "what was not asked for was not read";
  const auto damaged = db.kv().Get(key);
  EXPECT_EQ(damaged.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.status().message()),
              AllOf(HasSubstr("kv entry (tenant ''"), HasSubstr("layer 1 V"), HasSubstr("was dropped")));
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.kv().Get(key).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.Difference(other, 2), "");
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 1);
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.Put(key, 3).ok());
  EXPECT_EQ(db.Difference(key, 3), "");
}

TEST(KvGet, DropsAnEntryWhoseRecordIsMalformed) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(1)}).ok());
  storage::WriteBatch batch;
  batch.Put(storage::Table::kKvEntries, *EntryKey("", key.profile_id, key.tokens), "\x01 not a record");
  ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.kv().Get(key).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(db.kv().Get(key).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 0);
}

TEST(KvDelete, RemovesTheEntryItsExtentsAndItsOwners) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2);
  ASSERT_TRUE(db.Put(key, 1, {one, two}).ok());
  EXPECT_TRUE(*db.kv().Delete(key));
  EXPECT_FALSE(*db.kv().Delete(key));
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 0);
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 0);
  EXPECT_FALSE(db.store().NewIterator(storage::Table::kKvOwners, "")->Valid());
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvPlan, PlacesChunksOneAfterAnother) {
  TestDatabase db;
  const std::vector<std::vector<int32_t>> chunks = {Tokens(1, 10), Tokens(2, 5), Tokens(1, 10)};
  ASSERT_TRUE(db.Put({"t", db.profile_id(), chunks[0]}, 1).ok());
  const KvPlan plan = *db.kv().Plan({"t", db.profile_id(), chunks, 100});
  ASSERT_THAT(plan.items, SizeIs(3));
  const uint64_t bytes = 3 * 2 * 10 * 32;
  const std::vector<KvPlanItem> expected = {
      {true, 100, 10, bytes}, {false, 110, 5, 0}, {true, 115, 10, bytes}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plan.items[i].hit, expected[i].hit) << i;
    EXPECT_EQ(plan.items[i].position, expected[i].position) << i;
    EXPECT_EQ(plan.items[i].tokens, expected[i].tokens) << i;
    EXPECT_EQ(plan.items[i].bytes, expected[i].bytes) << i;
  }
  EXPECT_EQ(plan.hit_tokens, 20u);
  EXPECT_EQ(plan.miss_tokens, 5u);
  EXPECT_EQ(plan.bytes, 2 * bytes);
}

TEST(KvPlan, RefusesPositionsPast32Bits) {
  TestDatabase db;
  const uint32_t last = std::numeric_limits<uint32_t>::max();
  EXPECT_TRUE(db.kv().Plan({"", db.profile_id(), {{1}, {2}}, last - 1}).ok());
  EXPECT_EQ(db.kv().Plan({"", db.profile_id(), {{1}, {2}}, last}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(db.kv().Plan({"", db.profile_id(), {{1}, {}}, 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(db.kv().Plan({"", db.profile_id(), {}, 0})->items, IsEmpty());
}

}  // namespace
}  // namespace larder::kv
