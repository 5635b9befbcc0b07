#include "engine/kv/kv_demote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/kv/kv_test_database.h"
#include "larder/kv_codec.h"

namespace larder::kv {
namespace {

using ::testing::IsEmpty;

// 2 layers of 2 heads of 64 dimensions, f16: an entry of 64 tokens has 64 KiB.
constexpr uint32_t kTokens = 64;
constexpr uint64_t kEntry = 65'536;

KvProfile WideProfile() {
  KvProfile profile = SmallProfile();
  profile.layers = 2;
  profile.head_dim = 64;
  return profile;
}

KvTensorShape Shape(uint32_t tokens) { return {.tokens = tokens, .heads = 2, .dim = 64, .dtype = KvDtype::kF16}; }

// Halves of magnitude 0.5 to 2.
std::string Tensor(int seed, uint32_t layer, bool is_v, uint32_t tokens) {
  std::mt19937 random(static_cast<uint32_t>(seed * 8 + static_cast<int>(layer) * 2 + is_v));
  std::string tensor;
  while (tensor.size() < Shape(tokens).Bytes()) {
    const uint32_t bits = random();
    const uint32_t half = (bits & 0x8000) | (0x3800 + (bits & 0x7FF));
    tensor += static_cast<char>(half & 0xFF);
    tensor += static_cast<char>(half >> 8);
  }
  return tensor;
}

std::vector<float> Floats(uint32_t tokens, absl::string_view codec, KvSide side, absl::string_view payload) {
  std::vector<float> values(Shape(tokens).Bytes() / 2);
  const absl::Span<std::byte> out(reinterpret_cast<std::byte*>(values.data()), values.size() * sizeof(float));
  EXPECT_TRUE(DecodeKv(codec, side, Shape(tokens), payload, {}, nullptr,
                       ContiguousTarget(out, KvDtype::kF32, 2, 64)).ok());
  return values;
}

float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

class KvDemote : public ::testing::Test {
 protected:
  void Open(uint64_t budget, const std::string& demote_to, KvProfile profile = WideProfile(), uint64_t pool = 0) {
    db_ = std::make_unique<TestDatabase>(1 << 18, pool, KvOptions{.disk_bytes = budget, .demote_to = demote_to});
    profile_id_ = db_->kv().RegisterProfile(profile).value();
    rotated_ = !profile.k_before_rope;
  }
  KvKey Key(int seed, uint32_t tokens = kTokens) const { return {"", profile_id_, Tokens(seed, tokens)}; }
  absl::Status Put(int seed, double seconds, uint32_t tokens = kTokens) {
    KvPutRequest request{.key = Key(seed, tokens), .owners = {}, .compute_seconds = seconds};
    if (rotated_) request.rotated_from = 0;
    auto handle = db_->kv().PutBegin(request);
    if (!handle.ok()) return handle.status();
    for (uint32_t layer = 0; layer < 2; ++layer) {
      const absl::Status put = db_->kv().PutLayer(*handle, layer, Tensor(seed, layer, false, tokens),
                                                  Tensor(seed, layer, true, tokens));
      if (!put.ok()) return put;
    }
    return db_->kv().PutCommit(*handle);
  }
  std::string Codec(int seed) {
    const auto record = db_->Record(Key(seed));
    return record.ok() ? record->header.codec : "gone";
  }
  // Of all that is read of the entry, against what was put; and what its payloads declare.
  void CheckErrors(int seed, float least, float most) {
    const std::string codec = Codec(seed);
    const std::vector<KvLayer> layers = db_->kv().Get(Key(seed)).value();
    ASSERT_EQ(layers.size(), 2u);
    for (const KvLayer& layer : layers) {
      const Entry entry = *db_->Record(Key(seed));
      const std::vector<storage::ExtentPointer> both = {entry.layers[layer.layer].k, entry.layers[layer.layer].v};
      const auto payloads = db_->extents().Read(both);
      for (const KvSide side : {KvSide::kKey, KvSide::kValue}) {
        const auto s = static_cast<size_t>(side);
        const auto given = Floats(kTokens, "raw", side, Tensor(seed, layer.layer, s == 1, kTokens));
        const auto kept = Floats(kTokens, codec, side, *payloads[s]);
        const float declared = KvPayloadError(codec, side, Shape(kTokens), *payloads[s])->max_abs;
        EXPECT_LE(LargestDifference(given, kept), declared);
        EXPECT_GT(declared, least);
        EXPECT_LT(declared, most);
        // What is read is what is kept, rounded to halves below 4.
        EXPECT_LE(LargestDifference(kept, Floats(kTokens, "raw", side, s == 0 ? layer.k : layer.v)), 0.001f);
      }
    }
  }
  KvTierStats Disk() { return db_->kv().Stats()->tiers[0]; }

  std::unique_ptr<TestDatabase> db_;
  std::string profile_id_;
  bool rotated_ = false;
};

TEST_F(KvDemote, NamesTheNextStep) {
  KvProfile profile;
  EXPECT_EQ(DemotedCodec(profile, "raw", "int4"), "int8");
  EXPECT_EQ(DemotedCodec(profile, "int8", "int4"), "int4");
  EXPECT_EQ(DemotedCodec(profile, "int4", "int4"), "");
  EXPECT_EQ(DemotedCodec(profile, "raw", "int8"), "int8");
  EXPECT_EQ(DemotedCodec(profile, "int8", "int8"), "");
  EXPECT_EQ(DemotedCodec(profile, "raw", ""), "");
  EXPECT_EQ(DemotedCodec(profile, "mixed", "int4"), "");
  EXPECT_TRUE(MayBeKeptAs(profile, "raw") && MayBeKeptAs(profile, "int8") && MayBeKeptAs(profile, "int4"));
  EXPECT_FALSE(MayBeKeptAs(profile, "mixed"));
  profile.codec = "int8";
  EXPECT_FALSE(MayBeKeptAs(profile, "raw"));
  EXPECT_TRUE(MayBeKeptAs(profile, "int4"));
  profile.k_before_rope = false;
  EXPECT_FALSE(MayBeKeptAs(profile, "int4"));
  EXPECT_EQ(DemotedCodec(profile, "raw", "int4"), "");
}

TEST_F(KvDemote, TheLeastWorthIsMadeSmallerStepByStepAndThenGoes) {
  Open(2 * kEntry + 40'000, "int4");
  ASSERT_TRUE(Put(1, 1e-6).ok());
  ASSERT_TRUE(Put(2, 5).ok());
  ASSERT_TRUE(Put(3, 5).ok());  // 25,536 bytes too much
  EXPECT_EQ(Codec(1), "int8");
  EXPECT_EQ(Codec(2), "raw");
  CheckErrors(1, 0.001f, 0.02f);
  const uint64_t bytes = Disk().bytes;
  EXPECT_GT(bytes, 2 * kEntry + kEntry / 2);
  EXPECT_LT(bytes, 2 * kEntry + kEntry * 6 / 10);
  ASSERT_TRUE(Put(4, 5, 12).ok());
  EXPECT_EQ(Codec(1), "int4");
  CheckErrors(1, 0.05f, 0.3f);
  db_->Reopen();
  db_->AwaitFilled();
  CheckErrors(1, 0.05f, 0.3f);
  EXPECT_EQ(Disk().evictions, 0u);
  ASSERT_TRUE(Put(5, 5, 48).ok());
  EXPECT_EQ(Codec(1), "gone");
  EXPECT_LE(Disk().bytes, 2 * kEntry + 40'000);
  EXPECT_THAT(db_->Problems(), IsEmpty());
}

TEST_F(KvDemote, PinnedEntriesAndThoseKeptBitForBitStayAsTheyAre) {
  Open(2 * kEntry + 40'000, "int4");
  ASSERT_TRUE(Put(1, 1e-6).ok());
  ASSERT_TRUE(db_->kv().Pin(Key(1)).ok());
  ASSERT_TRUE(Put(2, 1).ok());
  ASSERT_TRUE(Put(3, 5).ok());
  EXPECT_EQ(Codec(1), "raw");
  EXPECT_EQ(Codec(2), "int8");

  KvProfile rotated = WideProfile();
  rotated.k_before_rope = false;
  Open(2 * kEntry, "int4", rotated);
  ASSERT_TRUE(Put(1, 1e-6).ok());
  ASSERT_TRUE(Put(2, 5).ok());
  ASSERT_TRUE(Put(3, 5).ok());
  EXPECT_EQ(Codec(1), "gone");
  EXPECT_EQ(Disk().demotions, 0u);
  EXPECT_EQ(Disk().evictions, 1u);
}

TEST_F(KvDemote, WhatCannotBeEncodedIsEvicted) {
  Open(4'000, "int4", SmallProfile());  // its test payloads are any bytes: not finite
  ASSERT_TRUE(db_->Put(db_->Key(1), 1).ok());
  ASSERT_TRUE(db_->Put(db_->Key(2), 2).ok());
  EXPECT_FALSE(db_->Hit(db_->Key(1)));
  EXPECT_EQ(Disk().evictions, 1u);
  EXPECT_THAT(db_->Problems(), IsEmpty());
}

TEST_F(KvDemote, SharedMemoryFollowsAndStatsTellOfIt) {
  Open(2 * kEntry + 40'000, "int4", WideProfile(), 16 << 20);
  for (int seed = 1; seed <= 3; ++seed) ASSERT_TRUE(Put(seed, seed == 1 ? 1e-6 : 5).ok());
  for (const int seed : {1, 2}) {
    const KvKey key = Key(seed);
    const auto views = db_->kv().Acquire({&key, 1});
    ASSERT_TRUE(views[0].ok()) << views[0].status();
    EXPECT_EQ(views[0]->codec(), seed == 1 ? "int8" : "raw");
    EXPECT_EQ(views[0]->Layer(0)->k.size(), db_->Record(key)->layers[0].k.length);
  }
  const KvStats stats = db_->kv().Stats().value();
  ASSERT_EQ(stats.tiers.size(), 2u);
  EXPECT_EQ(stats.tiers[0].demotions, 1u);
  EXPECT_EQ(stats.tiers[0].hits, 2u);
  EXPECT_EQ(stats.tiers[1].name, "memory");
  EXPECT_EQ(stats.tiers[1].entries, 3u);
  EXPECT_GE(stats.tiers[1].bytes, 2 * kEntry);
  EXPECT_EQ(stats.tiers[1].budget_bytes, 16u << 20);
  EXPECT_EQ(stats.tiers[1].hits, 1u) << "the demoted one came from disk";
}

TEST_F(KvDemote, ReadersMeanwhileGetWhatWasPutOrAMiss) {
  Open(6 * kEntry, "int4");
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, read = 0;
  std::thread reader([&] {
    std::mt19937 random(1);
    while (!stop) {
      const int seed = static_cast<int>(random() % 30);
      const auto layers = db_->kv().Get(Key(seed));
      if (absl::IsNotFound(layers.status()) || absl::IsUnavailable(layers.status())) continue;
      if (!layers.ok()) ++wrong;
      if (!layers.ok()) continue;
      ++read;
      const auto given = Floats(kTokens, "raw", KvSide::kValue, Tensor(seed, 1, true, kTokens));
      if (LargestDifference(given, Floats(kTokens, "raw", KvSide::kValue, (*layers)[1].v)) > 0.4f) ++wrong;
    }
  });
  std::mt19937 random(2);
  for (int i = 0; i < 120; ++i) {
    const absl::Status put = Put(static_cast<int>(random() % 30), 1 + random() % 9);
    EXPECT_TRUE(put.ok() || absl::IsAlreadyExists(put)) << put;
    const auto relocate = [&](const auto& owner, const auto& from, const auto& to, auto* batch) {
      return db_->impl().Relocate(owner, from, to, batch);
    };
    if (i % 5 != 0) continue;
    EXPECT_TRUE(db_->extents().CollectGarbage(relocate).ok());
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(read.load(), 0);
  EXPECT_GT(Disk().demotions, 20u);
  EXPECT_LE(Disk().bytes, 6 * kEntry);
  EXPECT_THAT(db_->Problems(), IsEmpty());
  db_->CrashAndReopen();  // records that were not synced: either version is whole
  EXPECT_THAT(db_->Problems(), IsEmpty());
}

}  // namespace
}  // namespace larder::kv
