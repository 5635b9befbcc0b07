#include "engine/kv/kv_put.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusCode CodeOf(const absl::Status& status) { return status.code(); }

TEST(KvPut, RoundTripsBitExactAndSurvivesReopening) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  EXPECT_EQ(db.Difference(key, 1), "");
  db.Reopen();
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_EQ(db.Count(storage::Counter::kKvEntries), 1);
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 6);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvPut, TakesLayersInAnyOrderFromManyThreads) {
  TestDatabase db;
  KvProfile profile = SmallProfile();
  profile.layers = 64;
  const KvKey key = {"", *db.kv().RegisterProfile(profile), Tokens(1)};
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  const uint64_t bytes = profile.LayerBytes(key.tokens.size());
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = t; i < 64; i += 4) {
        const uint32_t layer = 63 - i;
        EXPECT_TRUE(
            db.kv()
                .PutLayer(handle, layer, Payload(bytes, 5, layer, false), Payload(bytes, 5, layer, true))
                .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(db.kv().PutCommit(handle).ok());
  EXPECT_EQ(db.Difference(key, 5), "");
}

TEST(KvPut, IsInvisibleBeforeCommitAndAfterAbort) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  ASSERT_TRUE(db.PutLayers(handle, key, 1).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(CodeOf(db.kv().Get(key).status()), absl::StatusCode::kNotFound);
  ASSERT_TRUE(db.kv().PutAbort(handle).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(CodeOf(db.kv().PutCommit(handle)), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(db.kv().PutAbort(handle)), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
  ASSERT_TRUE(db.Put(key, 2).ok());
  EXPECT_EQ(db.Difference(key, 2), "");
}

TEST(KvPut, LeavesNothingWhenKilledBeforeCommit) {
  TestDatabase db;
  const KvKey kept = db.Key(1), lost = db.Key(2);
  ASSERT_TRUE(db.Put(kept, 1).ok());
  const storage::ExtentStats before = db.extents().Stats();
  const KvPutHandle handle = *db.kv().PutBegin({lost, {}});
  ASSERT_TRUE(db.PutLayers(handle, lost, 2).ok());
  EXPECT_GT(db.extents().Stats().bytes, before.bytes);
  db.CrashAndReopen();
  EXPECT_FALSE(db.Hit(lost));
  EXPECT_EQ(db.Difference(kept, 1), "");
  EXPECT_EQ(db.extents().Stats().bytes, before.bytes) << "orphans were not reclaimed";
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.Put(lost, 3).ok());
  EXPECT_EQ(db.Difference(lost, 3), "");
}

TEST(KvPut, SurvivesAKillRightAfterCommit) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(1)}).ok());
  db.CrashAndReopen();
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvPut, HasOneProducerAKey) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  const auto second = db.kv().PutBegin({key, {}});
  EXPECT_EQ(CodeOf(second.status()), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another producer"));
  EXPECT_TRUE(db.kv().PutBegin({db.Key(2), {}}).ok());
  EXPECT_TRUE(db.kv().PutBegin({db.Key(1, "other tenant"), {}}).ok());
  ASSERT_TRUE(db.PutLayers(handle, key, 1).ok());
  ASSERT_TRUE(db.kv().PutCommit(handle).ok());
  const auto third = db.kv().PutBegin({key, {}});
  EXPECT_EQ(CodeOf(third.status()), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("already there"));
}

TEST(KvPut, RefusesBadLayersAndStaysOpen) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  const std::string good(512, 'x');
  struct Case {
    uint32_t layer;
    std::string k, v, message;
  };
  for (const Case& c : std::vector<Case>{
           {3, good, good, "layer 3, expected 0 to 2"},
           {0, std::string(513, 'x'), good, "layer 0 K has 513 bytes, expected 512 (16 tokens)"},
           {1, good, good.substr(1), "layer 1 V has 511 bytes, expected 512 (16 tokens)"},
           {2, "", "", "layer 2 K has 0 bytes"},
       }) {
    const absl::Status status = db.kv().PutLayer(handle, c.layer, c.k, c.v);
    EXPECT_EQ(CodeOf(status), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
  ASSERT_TRUE(db.kv().PutLayer(handle, 1, good, good).ok());
  EXPECT_EQ(CodeOf(db.kv().PutLayer(handle, 1, good, good)), absl::StatusCode::kAlreadyExists);
  const absl::Status early = db.kv().PutCommit(handle);
  EXPECT_EQ(CodeOf(early), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(early.message()), HasSubstr("found 1 layers, expected 3; layer 0 is missing"));
  ASSERT_TRUE(db.kv().PutLayer(handle, 0, good, good).ok());
  ASSERT_TRUE(db.kv().PutLayer(handle, 2, good, good).ok());
  EXPECT_TRUE(db.kv().PutCommit(handle).ok());
  EXPECT_EQ(db.kv().Get(key)->at(2).v, good);
}

TEST(KvPut, RefusesBadRequests) {
  TestDatabase db;
  KvProfile wide = SmallProfile();
  wide.kv_heads = 1'024;
  wide.head_dim = 4'096;
  const std::string wide_id = *db.kv().RegisterProfile(wide);
  const KvOwner owner = db.AddChunk(1);
  const auto bad = absl::StatusCode::kInvalidArgument, missing = absl::StatusCode::kNotFound;
  struct Case {
    std::function<void(KvPutRequest*)> change;
    absl::StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {[](auto* r) { r->key.profile_id = std::string(64, '0'); }, missing, "is not registered"},
      {[](auto* r) { r->key.profile_id = "short"; }, bad, "64 lower-case hex"},
      {[](auto* r) { r->key.tokens.clear(); }, bad, "found 0, expected 1 to 1048576"},
      {[](auto* r) { r->key.tokens = {-1}; }, bad, "token 0 is -1"},
      {[](auto* r) { r->key.tenant = std::string(1'025, 't'); }, bad, "tenant: 1025 bytes"},
      {[&](auto* r) {
         r->key = {"", wide_id, Tokens(1, 200)};
       },
       bad, "expected at most 1073741824"},
      {[](auto* r) { r->owners[0].document_id = "none"; }, missing, "no chunk 0 of document 'none'"},
      {[](auto* r) { r->owners[0].collection = ""; }, bad, "1 to 1024 bytes"},
      {[](auto* r) { r->owners[0].document_id = std::string(1'025, 'd'); }, bad, "1 to 1024 bytes"},
      {[&](auto* r) { r->owners.resize(1'025, owner); }, bad, "found 1025"},
  };
  for (const Case& c : cases) {
    KvPutRequest request = {db.Key(1), {owner}};
    c.change(&request);
    const auto handle = db.kv().PutBegin(request);
    EXPECT_EQ(CodeOf(handle.status()), c.code) << c.message;
    EXPECT_THAT(std::string(handle.status().message()), HasSubstr(c.message));
  }
  EXPECT_TRUE(db.kv().PutBegin({db.Key(1), {owner}}).ok()) << "a refused request must leave no session";
}

TEST(KvPut, ForgetsSessionsThatAreIdleForTenMinutes) {
  TestDatabase db;
  const KvKey idle = db.Key(1), busy = db.Key(2);
  const KvPutHandle idle_handle = *db.kv().PutBegin({idle, {}});
  const KvPutHandle busy_handle = *db.kv().PutBegin({busy, {}});
  const std::string good(512, 'x');
  ASSERT_TRUE(db.kv().PutLayer(idle_handle, 0, good, good).ok());
  db.Advance(absl::Minutes(9));
  ASSERT_TRUE(db.kv().PutLayer(busy_handle, 0, good, good).ok());
  db.Advance(absl::Minutes(1));
  EXPECT_EQ(CodeOf(db.kv().PutLayer(idle_handle, 1, good, good)), absl::StatusCode::kNotFound);
  EXPECT_TRUE(db.kv().PutLayer(busy_handle, 1, good, good).ok());
  EXPECT_TRUE(db.kv().PutBegin({idle, {}}).ok()) << "its key is free again";
  db.Advance(absl::Minutes(10));
  EXPECT_EQ(db.impl().ExpireSessions(), 2u);
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
}

TEST(KvPut, RefusesMoreThan1024Sessions) {
  TestDatabase db;
  std::vector<KvPutHandle> handles;
  for (int i = 0; i < 1'024; ++i) handles.push_back(*db.kv().PutBegin({{"", db.profile_id(), {i}}, {}}));
  const auto more = db.kv().PutBegin({{"", db.profile_id(), {5'000}}, {}});
  EXPECT_EQ(CodeOf(more.status()), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(db.kv().PutAbort(handles[0]).ok());
  EXPECT_TRUE(db.kv().PutBegin({{"", db.profile_id(), {5'000}}, {}}).ok());
}

TEST(KvPut, PassesOverOwnersThatAreGoneByCommit) {
  TestDatabase db;
  const KvKey key = db.Key(1), orphan = db.Key(2);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2), three = db.AddChunk(3);
  const KvPutHandle some = *db.kv().PutBegin({key, {one, two, two}});
  const KvPutHandle none = *db.kv().PutBegin({orphan, {one, three}});
  ASSERT_TRUE(db.PutLayers(some, key, 1).ok());
  ASSERT_TRUE(db.PutLayers(none, orphan, 2).ok());
  ASSERT_TRUE(db.DeleteChunks({1, 3}).ok());
  EXPECT_TRUE(db.kv().PutCommit(some).ok());
  const absl::Status status = db.kv().PutCommit(none);
  EXPECT_EQ(CodeOf(status), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("every owner was deleted"));
  EXPECT_FALSE(db.Hit(orphan));
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.DeleteChunks({2}).ok());
  EXPECT_FALSE(db.Hit(key));
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
}

TEST(KvPut, AddsOwnersToAnEntryThatIsThere) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvOwner one = db.AddChunk(1), two = db.AddChunk(2);
  EXPECT_EQ(CodeOf(db.kv().AddOwners(key, {one}).status()), absl::StatusCode::kNotFound);
  ASSERT_TRUE(db.Put(key, 1, {one}).ok());
  EXPECT_EQ(*db.kv().AddOwners(key, {one, two}), 1u);
  EXPECT_EQ(*db.kv().AddOwners(key, {one, two}), 0u);
  ASSERT_TRUE(db.DeleteChunks({1}).ok());
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.DeleteChunks({2}).ok());
  EXPECT_FALSE(db.Hit(key));
}

TEST(KvPut, HoldsTheCallersFormAgainstTheProfile) {
  TestDatabase db;
  const KvForm good{.tokens = 16, .kv_heads = 2, .head_dim = 8, .dtype = KvDtype::kF16};
  const std::vector<std::pair<std::function<void(KvForm*)>, std::string>> cases = {
      {[](KvForm* f) { f->dtype = KvDtype::kBf16; }, "dtype of the tensors is bf16, expected f16"},
      {[](KvForm* f) { f->tokens = 15; }, "tokens of the tensors is 15, expected 16"},
      {[](KvForm* f) { f->kv_heads = 1; }, "kv_heads of the tensors is 1, expected 2"},
      {[](KvForm* f) { f->head_dim = 16; }, "head_dim of the tensors is 16, expected 8"},
  };
  for (const auto& [change, message] : cases) {
    KvPutRequest request{.key = db.Key(1), .owners = {}, .form = good};
    change(&*request.form);
    const auto handle = db.kv().PutBegin(request);
    EXPECT_EQ(CodeOf(handle.status()), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(handle.status().message()), HasSubstr(message));
  }
  EXPECT_TRUE(db.kv().PutBegin({.key = db.Key(1), .owners = {}, .form = good}).ok());
}

TEST(KvPut, WantsAPositionWhereKIsKeptRotatedAndNoneWithoutRope) {
  TestDatabase db;
  KvProfile kept = SmallProfile(), none = SmallProfile();
  kept.k_before_rope = false;
  none.rope_style = RopeStyle::kNone;
  const KvKey kept_key{"", *db.kv().RegisterProfile(kept), Tokens(1)};
  const KvKey none_key{"", *db.kv().RegisterProfile(none), Tokens(1)};
  const auto missing = db.kv().PutBegin({.key = kept_key, .owners = {}});
  EXPECT_EQ(CodeOf(missing.status()), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("rotated_from is missing"));
  const auto extra = db.kv().PutBegin({.key = none_key, .owners = {}, .rotated_from = 7});
  EXPECT_EQ(CodeOf(extra.status()), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(extra.status().message()), HasSubstr("rotated_from is 7, expected none"));
  EXPECT_TRUE(db.kv().PutBegin({.key = kept_key, .owners = {}, .rotated_from = 0}).ok());
  EXPECT_TRUE(db.kv().PutBegin({.key = none_key, .owners = {}}).ok());
}

TEST(KvPut, KeepsSidecarsBesideTheLayers) {
  TestDatabase db;
  const KvKey key = db.Key(1), bare = db.Key(2);
  const std::string saliency(16 * 4, '\0'), attention = Payload(5'000, 1, 9, false);
  const KvPutHandle handle = *db.kv().PutBegin({key, {db.AddChunk(1)}});
  ASSERT_TRUE(db.kv().PutSidecar(handle, KvSidecarKind::kInterAttention, attention).ok());
  ASSERT_TRUE(db.kv().PutSidecar(handle, KvSidecarKind::kSaliency, saliency).ok());
  EXPECT_EQ(CodeOf(db.kv().PutSidecar(handle, KvSidecarKind::kSaliency, saliency)),
            absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(db.PutLayers(handle, key, 1).ok());
  EXPECT_EQ(CodeOf(db.kv().GetSidecar(key, KvSidecarKind::kSaliency).status()), absl::StatusCode::kNotFound);
  ASSERT_TRUE(db.kv().PutCommit(handle).ok());
  ASSERT_TRUE(db.Put(bare, 2).ok());
  db.Reopen();
  EXPECT_EQ(*db.kv().GetSidecar(key, KvSidecarKind::kSaliency), saliency);
  EXPECT_EQ(*db.kv().GetSidecar(key, KvSidecarKind::kInterAttention), attention);
  EXPECT_THAT(std::string(db.kv().GetSidecar(key, KvSidecarKind::kCentroids).status().message()),
              HasSubstr("has no sidecar 2"));
  EXPECT_EQ(CodeOf(db.kv().GetSidecar(bare, KvSidecarKind::kSaliency).status()), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
  ASSERT_TRUE(db.DeleteChunks({1}).ok());
  EXPECT_TRUE(*db.kv().Delete(bare));
  EXPECT_EQ(db.Count(storage::Counter::kExtents), 0);
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
}

TEST(KvPut, ADamagedSidecarDropsItsEntry) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  ASSERT_TRUE(db.kv().PutSidecar(handle, KvSidecarKind::kCentroids, "centroids").ok());
  ASSERT_TRUE(db.PutLayers(handle, key, 1).ok());
  ASSERT_TRUE(db.kv().PutCommit(handle).ok());
  db.Damage(db.Record(key)->sidecars[0].bytes);
  const absl::Status status = db.kv().GetSidecar(key, KvSidecarKind::kCentroids).status();
  EXPECT_EQ(CodeOf(status), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("sidecar 2"));
  EXPECT_FALSE(db.Hit(key));
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvPut, RefusesBadSidecarsAndForgetsThoseOfAnAbortedPut) {
  TestDatabase db;
  const KvPutHandle handle = *db.kv().PutBegin({db.Key(1), {}});
  const std::string nan = std::string("\0\0\xc0\x7f", 4) + std::string(15 * 4, '\0');
  for (const auto& [kind, bytes, message] : std::vector<std::tuple<KvSidecarKind, std::string, std::string>>{
           {KvSidecarKind::kSaliency, std::string(60, 'x'), "has 60 bytes, expected 64, a float a token"},
           {KvSidecarKind::kSaliency, nan, "saliency of token 0 is not finite"},
           {KvSidecarKind::kCentroids, std::string((64 << 20) + 1, 'x'), "expected at most 67108864"},
           {static_cast<KvSidecarKind>(3), "x", "sidecar 3, expected 0 to 2"}}) {
    const absl::Status status = db.kv().PutSidecar(handle, kind, bytes);
    EXPECT_EQ(CodeOf(status), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  ASSERT_TRUE(db.kv().PutSidecar(handle, KvSidecarKind::kCentroids, "x").ok());
  EXPECT_GT(db.extents().Stats().live_bytes, 0u);
  ASSERT_TRUE(db.kv().PutAbort(handle).ok());
  EXPECT_EQ(db.extents().Stats().live_bytes, 0u);
  EXPECT_EQ(CodeOf(db.kv().PutSidecar(handle, KvSidecarKind::kSaliency, std::string(64, '\0'))),
            absl::StatusCode::kNotFound);
}

TEST(KvCache, RefusesEverythingOnceClosed) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  db.impl().Close();
  const auto closed = absl::StatusCode::kFailedPrecondition;
  EXPECT_EQ(CodeOf(db.kv().PutCommit(handle)), closed);
  EXPECT_EQ(CodeOf(db.kv().PutBegin({key, {}}).status()), closed);
  EXPECT_EQ(CodeOf(db.kv().Get(key).status()), closed);
  EXPECT_EQ(CodeOf(db.kv().Read({}, [](const KvLayerRead&) { return true; })), closed);
  EXPECT_EQ(CodeOf(db.kv().GetSidecar(key, KvSidecarKind::kSaliency).status()), closed);
  EXPECT_EQ(CodeOf(db.kv().Lookup({&key, 1}).status()), closed);
  EXPECT_EQ(CodeOf(db.kv().RegisterProfile(SmallProfile()).status()), closed);
}

}  // namespace
}  // namespace larder::kv
