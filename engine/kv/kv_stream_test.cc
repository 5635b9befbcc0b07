#include "engine/kv/kv_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_test_database.h"
#include "larder/kv_codec.h"

namespace larder::kv {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Delivered {
  size_t object = 0;
  absl::Status status;
  KvLayer layer;
};

std::vector<Delivered> ReadAll(TestDatabase& db, const std::vector<KvReadRequest>& requests) {
  std::vector<Delivered> out;
  EXPECT_TRUE(db.kv()
                  .Read(requests,
                        [&](const KvLayerRead& read) {
                          out.push_back({read.object,
                                         read.status,
                                         {read.layer, std::string(read.k), std::string(read.v)}});
                          return true;
                        })
                  .ok());
  return out;
}

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

std::string Bytes(const std::vector<float>& floats) {
  return {reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float)};
}

std::vector<float> RandomFloats(size_t count, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> floats(count);
  for (float& f : floats) f = normal(random);
  return floats;
}

// RoPE as its definition says, in double: token t of `k` to position base + t.
std::vector<float> Rotated(const std::vector<float>& k, const KvProfile& profile, double base) {
  std::vector<float> out = k;
  const uint32_t dim = profile.head_dim, rotary = profile.rotary_dim == 0 ? dim : profile.rotary_dim;
  for (size_t row = 0; row < k.size() / dim; ++row) {
    const double position = base + static_cast<double>(row / profile.kv_heads);
    for (uint32_t i = 0; i < rotary / 2; ++i) {
      const double frequency = profile.rope_frequencies.empty()
                                   ? std::pow(profile.rope_theta, -2.0 * i / rotary)
                                   : profile.rope_frequencies[i];
      const bool neox = profile.rope_style == RopeStyle::kNeox;
      const size_t a = row * dim + (neox ? i : 2 * i), b = row * dim + (neox ? i + rotary / 2 : 2 * i + 1);
      const double c = std::cos(position * frequency), s = std::sin(position * frequency);
      out[a] = static_cast<float>(k[a] * c - k[b] * s);
      out[b] = static_cast<float>(k[b] * c + k[a] * s);
    }
  }
  return out;
}

double Farthest(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max<double>(most, std::abs(a[i] - b[i]));
  return most;
}

TEST(KvStream, AllObjectsOfALayerComeBeforeTheNext) {
  TestDatabase db;
  const std::vector<KvKey> keys = {db.Key(1), db.Key(2, "t"), db.Key(3)};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db.Put(keys[i], i).ok());
  const auto all = ReadAll(db, {{.key = keys[0]},
                                {.key = keys[1], .first_layer = 1},
                                {.key = keys[2], .first_layer = 0, .layers = 2}});
  std::vector<std::pair<uint32_t, size_t>> order;
  for (const Delivered& d : all) {
    ASSERT_TRUE(d.status.ok()) << d.status;
    order.push_back({d.layer.layer, d.object});
    EXPECT_EQ(d.layer.k, Payload(512, static_cast<int>(d.object), d.layer.layer, false));
    EXPECT_EQ(d.layer.v, Payload(512, static_cast<int>(d.object), d.layer.layer, true));
  }
  using P = std::pair<uint32_t, size_t>;
  EXPECT_THAT(order, ElementsAre(P{0, 0}, P{0, 2}, P{1, 0}, P{1, 1}, P{1, 2}, P{2, 0}, P{2, 1}));
  EXPECT_THAT(ReadAll(db, {}), IsEmpty());
}

TEST(KvStream, AFailedObjectSaysSoOnceAndTheOthersGoOn) {
  TestDatabase db;
  const KvKey sound = db.Key(1), damaged = db.Key(2), absent = db.Key(3);
  ASSERT_TRUE(db.Put(sound, 1).ok());
  ASSERT_TRUE(db.Put(damaged, 2).ok());
  db.Damage(db.Record(damaged)->layers[1].k);
  const auto all =
      ReadAll(db, {{.key = damaged}, {.key = absent}, {.key = sound}, {.key = sound, .layers = 4}});
  std::vector<std::string> said;
  for (const Delivered& d : all) {
    said.push_back(
        absl::StrCat(d.object, ":", d.layer.layer, ":", absl::StatusCodeToString(d.status.code())));
  }
  EXPECT_THAT(said, ElementsAre("1:0:NOT_FOUND", "3:0:INVALID_ARGUMENT", "0:0:OK", "2:0:OK", "0:1:DATA_LOSS",
                                "2:1:OK", "2:2:OK"));
  EXPECT_THAT(std::string(all[4].status.message()), AllOf(HasSubstr("layer 1 K"), HasSubstr("was dropped")));
  EXPECT_FALSE(db.Hit(damaged));
  EXPECT_EQ(db.Difference(sound, 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvStream, EndsWhenTheSinkHasEnough) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  int taken = 0;
  const std::vector<KvReadRequest> requests(2, {.key = db.Key(1)});
  ASSERT_TRUE(db.kv().Read(requests, [&](const KvLayerRead&) { return ++taken < 3; }).ok());
  EXPECT_EQ(taken, 3);
}

// Every token and head range, and lists, against the same cut out by hand.
TEST(KvStream, CutsTokensAndHeads) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  const std::string k = Payload(512, 1, 2, false), v = Payload(512, 1, 2, true);
  const auto cut = [](const std::string& whole, const std::vector<uint32_t>& tokens, uint32_t head,
                      uint32_t heads) {
    std::string out;
    for (const uint32_t token : tokens) out += whole.substr(token * 32 + head * 16, heads * 16);
    return out;
  };
  for (const auto& [head, heads] :
       std::vector<std::pair<uint32_t, uint32_t>>{{0, 0}, {0, 1}, {1, 1}, {1, 0}}) {
    const uint32_t taken = heads == 0 ? 2 - head : heads;
    for (const auto& [first, count] :
         std::vector<std::pair<uint32_t, uint32_t>>{{0, 0}, {3, 5}, {15, 1}, {7, 0}}) {
      std::vector<uint32_t> tokens;
      for (uint32_t t = first; t < (count == 0 ? 16 : first + count); ++t) tokens.push_back(t);
      const auto got = ReadAll(db, {{.key = key,
                                     .first_layer = 2,
                                     .first_token = first,
                                     .tokens = count,
                                     .first_head = head,
                                     .heads = heads}});
      ASSERT_TRUE(got[0].status.ok()) << got[0].status;
      EXPECT_EQ(got[0].layer.k, cut(k, tokens, head, taken)) << first << " " << count << " " << head;
      EXPECT_EQ(got[0].layer.v, cut(v, tokens, head, taken));
    }
    const std::vector<uint32_t> list = {0, 4, 5, 15};
    const auto got =
        ReadAll(db, {{.key = key, .first_layer = 2, .token_list = list, .first_head = head, .heads = heads}});
    EXPECT_EQ(got[0].layer.k, cut(k, list, head, taken));
    EXPECT_EQ(got[0].layer.v, cut(v, list, head, taken));
  }
}

TEST(KvStream, NamesWhatOfARequestIsWrong) {
  TestDatabase db;
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  for (const auto& [request, message] : std::vector<std::pair<KvReadRequest, std::string>>{
           {{.key = key, .first_layer = 3}, "layers 3 to 3, expected within 0 to 2"},
           {{.key = key, .first_layer = 1, .layers = kMax}, "expected within 0 to 2"},
           {{.key = key, .first_token = 16}, "tokens 16 to 16, expected within 0 to 15"},
           {{.key = key, .first_token = 10, .tokens = 7}, "tokens 10 to 16, expected within 0 to 15"},
           {{.key = key, .tokens = kMax}, "expected within 0 to 15"},
           {{.key = key, .first_head = 2}, "heads 2 to 2, expected within 0 to 1"},
           {{.key = key, .heads = 3}, "heads 0 to 2"},
           {{.key = key, .token_list = {4, 4}}, "token_list[1] is 4, expected ascending numbers below 16"},
           {{.key = key, .token_list = {16}}, "token_list[0] is 16"},
           {{.key = key, .first_token = 1, .token_list = {4}}, "a range of tokens and a list"},
           {{.key = key, .first_token = 1, .encoded = true}, "encoded payloads are whole"},
           {{.key = key, .rotate_to = 5, .encoded = true}, "encoded payloads are whole"}}) {
    const auto got = ReadAll(db, {request});
    ASSERT_EQ(got.size(), 1u) << message;
    EXPECT_EQ(got[0].status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(got[0].status.message()), HasSubstr(message));
  }
  const auto sink = [](const KvLayerRead&) { return true; };
  EXPECT_EQ(db.kv().Read(std::vector<KvReadRequest>(4'097), sink).code(), absl::StatusCode::kInvalidArgument);
}

struct RopeCase {
  RopeStyle style;
  uint32_t rotary_dim;
  std::vector<double> frequencies;
};

class KvStreamRope : public ::testing::TestWithParam<RopeCase> {
 protected:
  KvStreamRope() {
    profile_.dtype = KvDtype::kF32;
    profile_.layers = 1;
    profile_.head_dim = 16;
    profile_.rope_style = GetParam().style;
    profile_.rotary_dim = GetParam().rotary_dim;
    profile_.rope_frequencies = GetParam().frequencies;
  }
  // Puts K of one layer, rotated to `from` or not.
  KvKey Put(const std::vector<float>& k, std::optional<uint32_t> from) {
    const KvKey key{"", *db_.kv().RegisterProfile(profile_), Tokens(++seed_, 12)};
    const KvPutHandle handle = *db_.kv().PutBegin({.key = key, .owners = {}, .rotated_from = from});
    EXPECT_TRUE(db_.kv().PutLayer(handle, 0, Bytes(k), Bytes(v_)).ok());
    EXPECT_TRUE(db_.kv().PutCommit(handle).ok());
    return key;
  }
  std::vector<float> ReadK(const KvReadRequest& request) {
    const auto got = ReadAll(db_, {request});
    EXPECT_TRUE(got[0].status.ok()) << got[0].status;
    if (request.tokens == 0) {
      EXPECT_EQ(Floats(got[0].layer.v), v_) << "V does not turn";
    }
    return Floats(got[0].layer.k);
  }

  TestDatabase db_;
  KvProfile profile_ = SmallProfile();
  const std::vector<float> k_ = RandomFloats(12 * 2 * 16, 1), v_ = RandomFloats(12 * 2 * 16, 2);
  int seed_ = 0;
};

TEST_P(KvStreamRope, KBeforeRopeGoesToAnyPosition) {
  for (const std::optional<uint32_t> from : {std::optional<uint32_t>(), std::optional<uint32_t>(777)}) {
    const std::vector<float> given = from.has_value() ? Rotated(k_, profile_, *from) : k_;
    const KvKey key = Put(given, from);
    EXPECT_LT(Farthest(ReadK({.key = key}), k_), 2e-6);
    for (const uint32_t to : {0u, 1u, 777u, 100'000u}) {
      EXPECT_LT(Farthest(ReadK({.key = key, .rotate_to = to}), Rotated(k_, profile_, to)), 4e-6) << to;
    }
    const std::vector<float> whole = Rotated(k_, profile_, 50);
    const std::vector<float> part(whole.begin() + 5 * 32, whole.begin() + 8 * 32);
    EXPECT_LT(Farthest(ReadK({.key = key, .first_token = 5, .tokens = 3, .rotate_to = 50}), part), 4e-6);
  }
}

TEST_P(KvStreamRope, KKeptRotatedIsBitEqualWhereItWasAndMovesElsewhere) {
  profile_.k_before_rope = false;
  const std::vector<float> given = Rotated(k_, profile_, 777);
  const KvKey key = Put(given, 777);
  EXPECT_EQ((*db_.kv().Lookup({key}))[0].rotated_from, 777u);
  EXPECT_EQ(ReadK({.key = key}), given);
  EXPECT_EQ(ReadK({.key = key, .rotate_to = 777}), given);
  for (const uint32_t to : {0u, 776u, 5'000u}) {
    EXPECT_LT(Farthest(ReadK({.key = key, .rotate_to = to}), Rotated(k_, profile_, to)), 4e-6) << to;
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, KvStreamRope,
                         ::testing::Values(RopeCase{RopeStyle::kNeox, 0, {}},
                                           RopeCase{RopeStyle::kInterleaved, 0, {}},
                                           RopeCase{RopeStyle::kNeox, 8, {}},
                                           RopeCase{RopeStyle::kInterleaved, 8, {}},
                                           RopeCase{RopeStyle::kNeox, 8, {1, 0.2, 0.01, 0.0005}}));

// What comes back differs from what was put by no more than the payload declares, and the payload is the
// codec's own.
class KvStreamCodec : public ::testing::TestWithParam<const char*> {};

TEST_P(KvStreamCodec, IsKeptAndComesBackWithinItsBound) {
  TestDatabase db;
  KvProfile profile = SmallProfile();
  profile.codec = GetParam();
  profile.dtype = KvDtype::kF32;
  profile.layers = 1;
  profile.kv_heads = 2;
  profile.head_dim = 64;
  const KvKey key{"", *db.kv().RegisterProfile(profile), Tokens(1, 96)};
  const KvTensorShape shape{.tokens = 96, .heads = 2, .dim = 64, .dtype = KvDtype::kF32};
  const std::vector<float> k = RandomFloats(96 * 128, 1), v = RandomFloats(96 * 128, 2),
                           saliency = RandomFloats(96, 3);
  const KvPutHandle handle = *db.kv().PutBegin({key, {}});
  ASSERT_TRUE(db.kv().PutSidecar(handle, KvSidecarKind::kSaliency, Bytes(saliency)).ok());
  const absl::Status put = db.kv().PutLayer(handle, 0, Bytes(k), Bytes(v));
  ASSERT_TRUE(put.ok()) << put;
  ASSERT_TRUE(db.kv().PutCommit(handle).ok());
  db.Reopen();
  const auto kept = ReadAll(db, {{.key = key, .encoded = true}});
  ASSERT_TRUE(kept[0].status.ok()) << kept[0].status;
  KvEncoding encoding;
  encoding.saliency = saliency;
  EXPECT_EQ(kept[0].layer.k, *EncodeKv(GetParam(), KvSide::kKey, shape, Bytes(k), encoding));
  EXPECT_EQ(kept[0].layer.v, *EncodeKv(GetParam(), KvSide::kValue, shape, Bytes(v), encoding));
  EXPECT_EQ((*db.kv().Lookup({key}))[0].bytes, kept[0].layer.k.size() + kept[0].layer.v.size());
  const auto back = ReadAll(db, {{.key = key}});
  ASSERT_TRUE(back[0].status.ok()) << back[0].status;
  const float k_bound = KvPayloadError(GetParam(), KvSide::kKey, shape, kept[0].layer.k)->max_abs;
  const float v_bound = KvPayloadError(GetParam(), KvSide::kValue, shape, kept[0].layer.v)->max_abs;
  EXPECT_LE(Farthest(Floats(back[0].layer.k), k), k_bound);
  EXPECT_LE(Farthest(Floats(back[0].layer.v), v), v_bound);
  const auto moved = ReadAll(db, {{.key = key, .rotate_to = 300}});
  EXPECT_LE(Farthest(Floats(moved[0].layer.k), Rotated(k, profile, 300)), 1.5 * k_bound + 4e-6);
  EXPECT_THAT(db.Problems(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Codecs, KvStreamCodec, ::testing::Values("raw", "int8", "int4", "mixed"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace larder::kv
