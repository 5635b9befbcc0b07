#include "engine/kv/kv_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::HasSubstr;

using Change = std::function<void(KvProfile*)>;

// Every field of KvProfile once, by name.
const std::vector<std::pair<std::string, Change>>& Changes() {
  static const auto* const kChanges = new std::vector<std::pair<std::string, Change>>{
      {"model", [](KvProfile* p) { p->model += "x"; }},
      {"model_revision", [](KvProfile* p) { p->model_revision += "x"; }},
      {"weights_sha256", [](KvProfile* p) { p->weights_sha256 = std::string(64, 'e'); }},
      {"tokenizer", [](KvProfile* p) { p->tokenizer += "x"; }},
      {"tokenizer_revision", [](KvProfile* p) { p->tokenizer_revision += "x"; }},
      {"adapter", [](KvProfile* p) { p->adapter = "lora@1"; }},
      {"dtype", [](KvProfile* p) { p->dtype = KvDtype::kBf16; }},
      {"layers", [](KvProfile* p) { ++p->layers; }},
      {"kv_heads", [](KvProfile* p) { ++p->kv_heads; }},
      {"head_dim", [](KvProfile* p) { p->head_dim += 2; }},
      {"rope_style", [](KvProfile* p) { p->rope_style = RopeStyle::kInterleaved; }},
      {"rope_theta", [](KvProfile* p) { p->rope_theta = std::nextafter(p->rope_theta, 1e9); }},
      {"rotary_dim", [](KvProfile* p) { p->rotary_dim = p->head_dim; }},
      {"rope_scaling", [](KvProfile* p) { p->rope_scaling = "yarn:4"; }},
      {"k_before_rope", [](KvProfile* p) { p->k_before_rope = !p->k_before_rope; }},
      {"sliding_window", [](KvProfile* p) { p->sliding_window = 4096; }},
      {"prompt_template", [](KvProfile* p) { p->prompt_template = "bos"; }},
      {"codec", [](KvProfile* p) { p->codec = "int8"; }},
  };
  return *kChanges;
}

TEST(ProfileId, DiffersWithEverySingleField) {
  const KvProfile base = SmallProfile();
  const std::string canonical = CanonicalProfile(base);
  std::set<std::string> ids = {ProfileId(base)};
  for (const auto& [field, change] : Changes()) {
    KvProfile changed = base;
    change(&changed);
    ASSERT_FALSE(changed == base) << field;
    EXPECT_TRUE(ids.insert(ProfileId(changed)).second) << field;
    EXPECT_THAT(canonical, HasSubstr("\"" + field + "\":"));
  }
  // A field that was added to the struct and forgotten here would make these differ.
  EXPECT_EQ(std::count(canonical.begin(), canonical.end(), ':'), static_cast<int64_t>(Changes().size()));
}

TEST(ProfileId, DoesNotConfuseNeighbouringFields) {
  KvProfile a = SmallProfile(), b = SmallProfile();
  a.model = "m\",\"model_revision\":\"r";
  a.model_revision = "";
  b.model = "m";
  b.model_revision = "r";
  EXPECT_NE(ProfileId(a), ProfileId(b));
  a = b = SmallProfile();
  a.adapter = "\\x01";
  b.adapter = "\x01";
  EXPECT_NE(ProfileId(a), ProfileId(b));
}

// Ids are part of the format: if this fails, every stored entry is lost to its readers.
TEST(ProfileId, IsPinned) {
  EXPECT_EQ(CanonicalProfile(KvProfile()),
            "{\"adapter\":\"\",\"codec\":\"raw\",\"dtype\":\"f16\",\"head_dim\":0,\"k_before_rope\":true,"
            "\"kv_heads\":0,\"layers\":0,\"model\":\"\",\"model_revision\":\"\",\"prompt_template\":\"\","
            "\"rope_scaling\":\"\",\"rope_style\":\"neox\",\"rope_theta\":10000,\"rotary_dim\":0,"
            "\"sliding_window\":0,\"tokenizer\":\"\",\"tokenizer_revision\":\"\",\"weights_sha256\":\"\"}");
  EXPECT_EQ(ProfileId(KvProfile()), "7c99cce1e3ecd48629ee7dda3967093a4188f6bfe1923194105633654a4dcb56");
}

TEST(ProfileRecord, RoundTripsWithEveryFieldChanged) {
  for (const auto& [field, change] : Changes()) {
    KvProfile changed = SmallProfile();
    change(&changed);
    EXPECT_EQ(*DecodeProfile(EncodeProfile(changed), "profile"), changed) << field;
  }
}

TEST(ProfileId, DiffersWithRopeFrequencies) {
  KvProfile scaled = SmallProfile();
  scaled.rope_frequencies = {1, 0.1, 0.01, 0.001};
  EXPECT_THAT(CanonicalProfile(scaled), HasSubstr("\"rope_frequencies\":[1,0.10000000000000001,0.01"));
  EXPECT_NE(ProfileId(scaled), ProfileId(SmallProfile()));
  KvProfile other = scaled;
  other.rope_frequencies[3] = std::nextafter(0.001, 1);
  EXPECT_NE(ProfileId(other), ProfileId(scaled));
  EXPECT_EQ(*DecodeProfile(EncodeProfile(scaled), "profile"), scaled);
}

// What was written before there were rope_frequencies. Never regenerate to go green.
TEST(ProfileRecord, ReadsRecordsOfVersion1) {
  const std::string record = absl::HexStringToBytes(
      "0105736d616c6c0272314066666666666666666666666666666666666666666666666666666666666666666666666666"
      "666666666666666666666666666666666666666666666666666666036270650000010300000002000000080000000100"
      "0000000088c340000000000001000000000003726177");
  const auto profile = DecodeProfile(record, "profile");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(*profile, SmallProfile());
  EXPECT_EQ(ProfileId(*profile), "e510f7e1fba513c42b29dc410eccae2f922a1c41ea14e0483f6676cedb798255");
}

TEST(ProfileRecord, RefusesEveryTruncation) {
  const std::string record = EncodeProfile(SmallProfile());
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_EQ(DecodeProfile(absl::string_view(record).substr(0, size), "profile").status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_FALSE(DecodeProfile(record + "x", "profile").ok());
}

TEST(ProfileValidation, NamesTheFieldFoundAndExpected) {
  const std::vector<std::pair<Change, std::string>> cases = {
      {[](KvProfile* p) { p->model = ""; }, "model is 0 bytes, expected 1 to 1024"},
      {[](KvProfile* p) { p->model = std::string(1'025, 'x'); }, "model is 1025 bytes"},
      {[](KvProfile* p) { p->model_revision = std::string(1'025, 'x'); }, "model_revision is"},
      {[](KvProfile* p) { p->weights_sha256 = "abc"; }, "weights_sha256 is 'abc'"},
      {[](KvProfile* p) { p->tokenizer = std::string(1'025, 'x'); }, "tokenizer is"},
      {[](KvProfile* p) { p->tokenizer_revision = std::string("\0", 1); },
       "tokenizer_revision is text with a NUL"},
      {[](KvProfile* p) { p->adapter = std::string(1'025, 'x'); }, "adapter is"},
      {[](KvProfile* p) { p->dtype = static_cast<KvDtype>(3); }, "dtype is 3, expected 0 to 2"},
      {[](KvProfile* p) { p->layers = 0; }, "layers is 0, expected 1 to 1024"},
      {[](KvProfile* p) { p->layers = 1'025; }, "layers is 1025, expected 1 to 1024"},
      {[](KvProfile* p) { p->kv_heads = 0; }, "kv_heads is 0"},
      {[](KvProfile* p) { p->kv_heads = 1'025; }, "kv_heads is 1025"},
      {[](KvProfile* p) { p->head_dim = 0; }, "head_dim is 0"},
      {[](KvProfile* p) { p->head_dim = 4'097; }, "head_dim is 4097, expected 1 to 4096"},
      {[](KvProfile* p) { p->rope_style = static_cast<RopeStyle>(3); }, "rope_style is 3"},
      {[](KvProfile* p) { p->rope_theta = 0; }, "rope_theta is 0"},
      {[](KvProfile* p) { p->rope_theta = std::nan(""); }, "rope_theta is nan"},
      {[](KvProfile* p) { p->rope_theta = std::numeric_limits<double>::infinity(); }, "rope_theta is inf"},
      {[](KvProfile* p) { p->rotary_dim = p->head_dim + 2; }, "rotary_dim is"},
      {[](KvProfile* p) { p->rotary_dim = 3; }, "rotary_dim is 3, expected an even number"},
      {[](KvProfile* p) { p->rope_scaling = std::string(65'537, 'x'); }, "rope_scaling is"},
      {[](KvProfile* p) { p->sliding_window = 0xffffffff; }, "sliding_window is"},
      {[](KvProfile* p) { p->prompt_template = std::string(65'537, 'x'); }, "prompt_template is"},
      {[](KvProfile* p) { p->codec = "int3"; }, "codec is 'int3', expected one of raw, int8, int4, mixed"},
      {[](KvProfile* p) {
         p->rope_frequencies = {1, 2, 3};
       },
       "rope_frequencies is 3 numbers, expected 4, one a pair"},
      {[](KvProfile* p) {
         p->rope_frequencies = {1, 2, std::nan(""), 3};
       },
       "rope_frequencies is nan"},
      {[](KvProfile* p) {
         p->rope_frequencies = {1, 2, -1, 3};
       },
       "rope_frequencies is -1"},
      {[](KvProfile* p) {
         p->rope_style = RopeStyle::kNone;
         p->rope_frequencies = {1, 2, 3, 4};
       },
       "rope_frequencies is 4 numbers, expected none: the profile has no RoPE"},
  };
  EXPECT_TRUE(ValidateProfile(SmallProfile()).ok());
  for (const auto& [change, message] : cases) {
    KvProfile profile = SmallProfile();
    change(&profile);
    const absl::Status status = ValidateProfile(profile);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(Profiles, AreRegisteredOnceAndSurviveReopening) {
  TestDatabase db;
  const KvProfile profile = SmallProfile();
  KvProfile other = profile;
  other.model = "another";
  const std::string id = *db.kv().RegisterProfile(profile);
  EXPECT_EQ(id, ProfileId(profile));
  const uint64_t commit = db.store().state().commit;
  EXPECT_EQ(*db.kv().RegisterProfile(profile), id);
  EXPECT_EQ(db.store().state().commit, commit) << "registering again wrote something";
  const std::string other_id = *db.kv().RegisterProfile(other);
  db.Reopen();
  EXPECT_EQ(*db.kv().GetProfile(id), profile);
  EXPECT_EQ(*db.kv().GetProfile(other_id), other);
  EXPECT_THAT(*db.kv().ListProfiles(), ::testing::UnorderedElementsAre(id, other_id));
  EXPECT_EQ(db.kv().GetProfile(std::string(64, '0')).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.kv().GetProfile("x").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace larder::kv
