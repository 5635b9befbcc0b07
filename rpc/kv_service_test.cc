// The KV cache through a real client, server and socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/support/served_database.h"

namespace larder {
namespace {

KvProfile Profile(uint32_t layers, uint32_t head_dim) {
  return KvProfile{.model = "m",
                   .model_revision = "1",
                   .tokenizer = "t",
                   .dtype = KvDtype::kF16,
                   .layers = layers,
                   .kv_heads = 2,
                   .head_dim = head_dim};
}

std::string Tensor(uint64_t bytes, uint32_t seed) {
  std::string tensor(bytes, '\0');
  for (uint64_t i = 0; i < bytes; ++i) tensor[i] = static_cast<char>(i * 7 + i / 255 + seed * 131);
  return tensor;
}

class KvServiceTest : public testing::ServedDatabase {
 protected:
  KvKey KeyOf(const KvProfile& profile, int tokens) {
    KvKey key;
    key.profile_id = *client_->kv().RegisterProfile(profile);
    for (int i = 0; i < tokens; ++i) key.tokens.push_back(i * 3);
    return key;
  }

  absl::Status Put(const KvProfile& profile, const KvKey& key) {
    KvClient& kv = client_->kv();
    const auto handle = kv.PutBegin(KvPutRequest{.key = key, .owners = {}});
    if (!handle.ok()) return handle.status();
    const uint64_t bytes = profile.LayerBytes(key.tokens.size());
    for (uint32_t layer = 0; layer < profile.layers; ++layer) {
      const absl::Status put =
          kv.PutLayer(*handle, layer, Tensor(bytes, 2 * layer), Tensor(bytes, 2 * layer + 1));
      if (!put.ok()) return put;
    }
    return kv.PutCommit(*handle);
  }

  void ExpectLayers(const std::vector<KvLayer>& layers, uint32_t first, uint32_t count, uint64_t bytes) {
    ASSERT_EQ(layers.size(), count);
    for (uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(layers[i].layer, first + i);
      EXPECT_TRUE(layers[i].k == Tensor(bytes, 2 * (first + i))) << "K of layer " << first + i;
      EXPECT_TRUE(layers[i].v == Tensor(bytes, 2 * (first + i) + 1)) << "V of layer " << first + i;
    }
  }
};

TEST_F(KvServiceTest, ProfilesAreRemembered) {
  Serve();
  KvProfile profile = Profile(3, 64);
  profile.rope_theta = 500000.0;
  const auto id = client_->kv().RegisterProfile(profile);
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(*client_->kv().RegisterProfile(profile), *id);
  EXPECT_EQ(*client_->kv().GetProfile(*id), profile);
  EXPECT_THAT(*client_->kv().ListProfiles(), ::testing::ElementsAre(*id));
  profile.layers = 0;
  EXPECT_EQ(client_->kv().RegisterProfile(profile).status(),
            database_->kv().RegisterProfile(profile).status());
  EXPECT_EQ(client_->kv().GetProfile("none").status(), database_->kv().GetProfile("none").status());
}

TEST_F(KvServiceTest, PinsTtlsQuotasAndStatsTravel) {
  Serve();
  const KvProfile profile = Profile(4, 8);
  const KvKey key = KeyOf(profile, 10);
  KvKey other = key;
  other.tokens.push_back(1);
  const uint64_t bytes = 4 * 2 * profile.LayerBytes(10);
  ASSERT_TRUE(Put(profile, key).ok());
  ASSERT_TRUE(client_->kv().Pin(key).ok());
  EXPECT_EQ(client_->kv().Pin(other), database_->kv().Pin(other));
  ASSERT_TRUE(client_->kv().SetQuota(key.tenant, bytes + 1).ok());
  const absl::Status refused = client_->kv().PutBegin(KvPutRequest{.key = other, .owners = {}}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("its quota is"));
  ASSERT_TRUE(client_->kv().Get(key).ok());

  const auto stats = client_->kv().Stats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ASSERT_EQ(stats->tiers.size(), 1u);
  EXPECT_EQ(stats->tiers[0].name, "disk");
  EXPECT_EQ(stats->tiers[0].bytes, bytes);
  EXPECT_EQ(stats->tiers[0].pinned_entries, 1u);
  ASSERT_EQ(stats->tenants.size(), 1u);
  EXPECT_EQ(stats->tenants[0].tenant, key.tenant);
  EXPECT_EQ(stats->tenants[0].quota_bytes, bytes + 1);
  EXPECT_EQ(stats->tenants[0].reads, 1u);
  EXPECT_GT(stats->saved_seconds, 0);

  EXPECT_EQ(client_->kv().SetTtl(key, absl::ZeroDuration()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client_->kv().SetTtl(key, -absl::Seconds(1)).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(client_->kv().SetTtl(key, absl::InfiniteDuration()).ok());
  ASSERT_TRUE(client_->kv().SetTtl(key, absl::Nanoseconds(1)).ok());  // at most a millisecond
  absl::SleepFor(absl::Milliseconds(5));
  EXPECT_FALSE(client_->kv().Lookup({{key}}).value()[0].hit);
  ASSERT_TRUE(client_->kv().SetQuota(key.tenant, std::nullopt).ok());
}

TEST_F(KvServiceTest, PutLookupGetPlanDelete) {
  Serve();
  const KvProfile profile = Profile(4, 8);
  const KvKey key = KeyOf(profile, 10);
  const uint64_t bytes = profile.LayerBytes(10);
  ASSERT_TRUE(Put(profile, key).ok());
  EXPECT_EQ(client_->kv().PutBegin(KvPutRequest{.key = key, .owners = {}}).status().code(),
            absl::StatusCode::kAlreadyExists);

  KvKey other = key;
  other.tokens.push_back(1);
  const std::vector<KvKey> keys = {other, key};
  const auto lookups = client_->kv().Lookup(keys);
  ASSERT_TRUE(lookups.ok()) << lookups.status();
  EXPECT_FALSE(lookups->at(0).hit);
  EXPECT_TRUE(lookups->at(1).hit);
  EXPECT_EQ(lookups->at(1).bytes, 4 * 2 * bytes);
  EXPECT_EQ(lookups->at(1).tokens, 10u);

  auto layers = client_->kv().Get(key);
  ASSERT_TRUE(layers.ok()) << layers.status();
  ExpectLayers(*layers, 0, 4, bytes);
  layers = client_->kv().Get(key, 1, 2);
  ASSERT_TRUE(layers.ok()) << layers.status();
  ExpectLayers(*layers, 1, 2, bytes);
  for (const auto& [first, count] : {std::pair{4u, 0u}, {3u, 2u}, {0u, ~0u}, {~0u, 1u}}) {
    EXPECT_EQ(client_->kv().Get(key, first, count).status(), database_->kv().Get(key, first, count).status());
  }
  EXPECT_EQ(client_->kv().Get(other).status(), database_->kv().Get(other).status());
  EXPECT_EQ(client_->kv().Get(other).status().code(), absl::StatusCode::kNotFound);

  KvPlanRequest request;
  request.profile_id = key.profile_id;
  request.chunks = {other.tokens, key.tokens};
  request.first_position = 5;
  const auto plan = client_->kv().Plan(request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->items.size(), 2u);
  EXPECT_FALSE(plan->items[0].hit);
  EXPECT_TRUE(plan->items[1].hit);
  EXPECT_EQ(plan->items[1].position, 5u + 11u);
  EXPECT_EQ(plan->hit_tokens, 10u);
  EXPECT_EQ(plan->miss_tokens, 11u);
  EXPECT_EQ(plan->bytes, 4 * 2 * bytes);

  EXPECT_TRUE(*client_->kv().Delete(key));
  EXPECT_FALSE(*client_->kv().Delete(key));
  EXPECT_FALSE(client_->kv().Lookup(keys)->at(1).hit);
}

TEST_F(KvServiceTest, EntriesLiveAsLongAsTheirOwners) {
  Serve();
  ASSERT_TRUE(client_->CreateCollection("docs", PlainOptions()).ok());
  ASSERT_TRUE(client_->Upsert("docs", NumberedDocument(1)).ok());
  const KvProfile profile = Profile(1, 8);
  const KvKey key = KeyOf(profile, 5);
  const std::vector<KvOwner> owners = {
      KvOwner{.collection = "docs", .document_id = NumberedDocument(1).id, .ordinal = 0}};
  EXPECT_EQ(client_->kv().AddOwners(key, owners).status(), database_->kv().AddOwners(key, owners).status());
  ASSERT_TRUE(Put(profile, key).ok());
  const auto added = client_->kv().AddOwners(key, owners);
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(*added, 1u);
  EXPECT_EQ(*client_->kv().AddOwners(key, owners), 0u);
  EXPECT_TRUE(*client_->Delete("docs", owners[0].document_id));
  EXPECT_FALSE(client_->kv().Lookup({key})->at(0).hit);
}

// What a Read gave: for each object its layers, and its failure if there was one.
struct ReadObject {
  std::vector<KvLayer> layers;
  absl::Status status;
};

template <typename Kv>
std::vector<ReadObject> ReadAll(Kv& kv, const std::vector<KvReadRequest>& requests,
                                std::vector<std::pair<uint32_t, size_t>>* order = nullptr) {
  std::vector<ReadObject> objects(requests.size());
  const absl::Status status = kv.Read(requests, [&](const KvLayerRead& read) {
    ReadObject& object = objects[read.object];
    EXPECT_TRUE(object.status.ok()) << "something came after the failure of object " << read.object;
    object.status = read.status;
    if (order != nullptr) order->push_back({read.layer, read.object});
    if (read.status.ok()) object.layers.push_back({read.layer, std::string(read.k), std::string(read.v)});
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return objects;
}

void ExpectSame(const std::vector<ReadObject>& found, const std::vector<ReadObject>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].status, expected[i].status) << i;
    ASSERT_EQ(found[i].layers.size(), expected[i].layers.size()) << i;
    for (size_t j = 0; j < found[i].layers.size(); ++j) {
      EXPECT_EQ(found[i].layers[j].layer, expected[i].layers[j].layer);
      EXPECT_TRUE(found[i].layers[j].k == expected[i].layers[j].k) << i << " K " << j;
      EXPECT_TRUE(found[i].layers[j].v == expected[i].layers[j].v) << i << " V " << j;
    }
  }
}

TEST_F(KvServiceTest, ReadStreamsLayerByLayerAsTheLibraryDoes) {
  Serve();
  const KvProfile profile = Profile(3, 8);
  const KvKey one = KeyOf(profile, 10), two = KeyOf(profile, 11), absent = KeyOf(profile, 12);
  ASSERT_TRUE(Put(profile, one).ok());
  ASSERT_TRUE(Put(profile, two).ok());
  const std::vector<KvReadRequest> requests = {
      {.key = one},
      {.key = absent},
      {.key = two, .first_layer = 1, .first_token = 2, .tokens = 5, .first_head = 1, .rotate_to = 900},
      {.key = two, .layers = 2, .token_list = {0, 3, 10}},
      {.key = one, .first_layer = 7},
      {.key = two, .encoded = true}};
  std::vector<std::pair<uint32_t, size_t>> order;
  const auto found = ReadAll(client_->kv(), requests, &order);
  ExpectSame(found, ReadAll(database_->kv(), requests));
  EXPECT_EQ(found[1].status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(found[4].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(found[2].layers.size(), 2u);
  EXPECT_EQ(found[2].layers[0].k.size(), 5u * 1 * 8 * 2);
  order.erase(order.begin(), order.begin() + 2);  // the two that failed
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << "a layer came before all of the one before it";
  int taken = 0;
  EXPECT_TRUE(client_->kv().Read(requests, [&](const KvLayerRead&) { return ++taken < 4; }).ok());
  EXPECT_EQ(taken, 4);
  EXPECT_EQ(client_->kv()
                .Read(std::vector<KvReadRequest>(4'097, requests[0]), [](const auto&) { return true; })
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(KvServiceTest, VariantsSidecarsAndPositionsTravel) {
  Serve();
  KvProfile profile = Profile(1, 8);
  profile.k_before_rope = false;
  KvKey key = KeyOf(profile, 4);
  key.variant = {KvVariantKind::kOrderedPrefix, {std::string(64, '1'), std::string(64, '2')}};
  KvClient& kv = client_->kv();
  const KvForm wrong{.tokens = 4, .kv_heads = 2, .head_dim = 8, .dtype = KvDtype::kBf16};
  const KvPutRequest bad{.key = key, .owners = {}, .rotated_from = 60, .form = wrong};
  EXPECT_EQ(kv.PutBegin(bad).status(), database_->kv().PutBegin(bad).status());
  EXPECT_EQ(kv.PutBegin({.key = key, .owners = {}}).status(),
            database_->kv().PutBegin({.key = key, .owners = {}}).status());
  const auto handle = kv.PutBegin({.key = key, .owners = {}, .rotated_from = 60});
  ASSERT_TRUE(handle.ok()) << handle.status();
  const std::string centroids = Tensor(100'000, 5);
  ASSERT_TRUE(kv.PutSidecar(*handle, KvSidecarKind::kCentroids, centroids).ok());
  EXPECT_EQ(kv.PutSidecar(*handle, KvSidecarKind::kSaliency, "x"),
            database_->kv().PutSidecar(*handle, KvSidecarKind::kSaliency, "x"));
  ASSERT_TRUE(kv.PutLayer(*handle, 0, Tensor(128, 1), Tensor(128, 2)).ok());
  ASSERT_TRUE(kv.PutCommit(*handle).ok());
  EXPECT_EQ(kv.Lookup({key})->at(0).rotated_from, 60u);
  KvKey plain = key;
  plain.variant = {};
  EXPECT_FALSE(kv.Lookup({plain})->at(0).hit);
  EXPECT_EQ(*kv.GetSidecar(key, KvSidecarKind::kCentroids), centroids);
  EXPECT_EQ(kv.GetSidecar(key, KvSidecarKind::kSaliency).status(),
            database_->kv().GetSidecar(key, KvSidecarKind::kSaliency).status());
  const auto same = ReadAll(kv, {{.key = key, .rotate_to = 60}});
  EXPECT_EQ(same[0].layers[0].k, Tensor(128, 1)) << "not bit-equal at its own position";
}

// Tensors beyond the message limit, and an entry beyond what the server reads at once.
TEST_F(KvServiceTest, LargeLayersTravelInParts) {
  server_options_.max_message_bytes = client_options_.max_message_bytes = int64_t{2} << 20;
  Serve();
  const KvProfile profile = Profile(5, 512);
  const KvKey key = KeyOf(profile, 1300);
  const uint64_t bytes = profile.LayerBytes(1300);
  ASSERT_GT(static_cast<int64_t>(bytes), server_options_.max_message_bytes);
  ASSERT_GT(2 * 5 * bytes, uint64_t{16} << 20);
  const absl::Status put = Put(profile, key);
  ASSERT_TRUE(put.ok()) << put;
  const auto layers = client_->kv().Get(key);
  ASSERT_TRUE(layers.ok()) << layers.status();
  ExpectLayers(*layers, 0, 5, bytes);
}

TEST_F(KvServiceTest, PutErrorsArriveAsTheLibraryPutsThem) {
  server_options_.max_layer_bytes = 100'000;
  Serve();
  const KvProfile profile = Profile(2, 8);
  const KvKey key = KeyOf(profile, 4);
  KvClient& kv = client_->kv();
  const auto handle = kv.PutBegin(KvPutRequest{.key = key, .owners = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_EQ(kv.PutLayer(*handle, 0, "short", "short"),
            database_->kv().PutLayer(*handle, 0, "short", "short"));
  EXPECT_EQ(kv.PutLayer(*handle, 0, "", "").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(kv.PutLayer(*handle + 99, 0, "k", "v"), database_->kv().PutLayer(*handle + 99, 0, "k", "v"));
  const std::string big(3 << 20, 'x');
  const absl::Status too_big = kv.PutLayer(*handle, 0, big, big);
  EXPECT_EQ(too_big.code(), absl::StatusCode::kResourceExhausted) << too_big;
  EXPECT_EQ(kv.PutCommit(*handle), database_->kv().PutCommit(*handle));  // layers are missing
  EXPECT_TRUE(kv.PutAbort(*handle).ok() || absl::IsNotFound(kv.PutAbort(*handle)));
  EXPECT_FALSE(kv.Lookup({key})->at(0).hit);
}

}  // namespace
}  // namespace larder
