#include "engine/kv/kv_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace larder::kv {
namespace {

using ::testing::HasSubstr;

const std::string kProfileA(64, 'a');
const std::string kProfileB(64, 'b');

TEST(Sha256, MatchesKnownDigests) {
  EXPECT_EQ(absl::BytesToHexString(Sha256("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(absl::BytesToHexString(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TokenHash, IsOfLittleEndianInt32) {
  EXPECT_EQ(TokenHash({1, 256}), Sha256(absl::string_view("\x01\0\0\0\0\x01\0\0", 8)));
}

TEST(EntryKey, RoundTripsThroughItsParts) {
  const std::vector<int32_t> tokens = {0, 1, 49'151, INT32_MAX};
  const std::string key = *EntryKey("tenant", kProfileA, tokens);
  const EntryKeyParts parts = *ParseEntryKey(key);
  EXPECT_EQ(parts.tenant, "tenant");
  EXPECT_EQ(parts.profile_id, kProfileA);
  EXPECT_EQ(parts.token_hash, TokenHash(tokens));
  EXPECT_EQ(parts.variant, KvVariantKind::kNone);
  EXPECT_THAT(EntryName(key), HasSubstr("tenant 'tenant', profile aaaaaaaaaaaa"));
}

TEST(EntryKey, DiffersInTenantProfileTokensAndOrder) {
  std::set<std::string> keys;
  for (const char* tenant : {"", "a", "b"}) {
    for (const std::string& profile : {kProfileA, kProfileB}) {
      for (const std::vector<int32_t>& tokens :
           std::vector<std::vector<int32_t>>{{1}, {2}, {1, 2}, {2, 1}, {1, 2, 0}}) {
        keys.insert(*EntryKey(tenant, profile, tokens));
      }
    }
  }
  EXPECT_EQ(keys.size(), 3u * 2 * 5);
}

TEST(EntryKey, DiffersInVariantAndContext) {
  const std::string a(64, '1'), b(64, '2');
  std::set<std::string> keys;
  for (const KvVariant& variant : std::vector<KvVariant>{{},
                                                         {KvVariantKind::kSharedPrefix, {a}},
                                                         {KvVariantKind::kOrderedPrefix, {a}},
                                                         {KvVariantKind::kSourceSet, {a}},
                                                         {KvVariantKind::kOrderedPrefix, {a, b}},
                                                         {KvVariantKind::kOrderedPrefix, {b, a}},
                                                         {KvVariantKind::kSourceSet, {a, b}}}) {
    const std::string key = *EntryKey("t", kProfileA, {1}, variant);
    EXPECT_EQ(ParseEntryKey(key)->variant, variant.kind);
    EXPECT_EQ(ParseEntryKey(key)->context_hash.size(), variant.context.empty() ? 0u : 32u);
    for (const std::string& other : keys) EXPECT_NE(other.find(key), 0u) << "a prefix of another";
    EXPECT_TRUE(keys.insert(key).second);
  }
  EXPECT_EQ(keys.count(*EntryKey("t", kProfileA, {1}, {KvVariantKind::kSourceSet, {b, a, b}})), 1u)
      << "a set has no order";
}

TEST(ContextBytes, RefusesWhatIsNoContext) {
  const std::string hash(64, '1');
  for (const auto& [variant, message] : std::vector<std::pair<KvVariant, std::string>>{
           {{KvVariantKind::kNone, {hash}}, "kind 0 with a context of 1 chunks, expected none"},
           {{KvVariantKind::kSharedPrefix, {}}, "kind 1 with a context of 0 chunks, expected 1 to 1024"},
           {{KvVariantKind::kSourceSet, std::vector<std::string>(1'025, hash)}, "of 1025 chunks"},
           {{KvVariantKind::kOrderedPrefix, {hash, "abc"}}, "context 1 is 'abc', expected 64"},
           {{static_cast<KvVariantKind>(4), {hash}}, "kind is 4, expected 0 to 3"}}) {
    const auto key = EntryKey("t", kProfileA, {1}, variant);
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(key.status().message()), HasSubstr(message));
  }
}

TEST(EntryKey, RefusesWhatIsOutOfLimits) {
  struct Case {
    std::string tenant, profile;
    std::vector<int32_t> tokens;
    std::string message;
  };
  const std::vector<Case> cases = {
      {std::string(1'025, 'x'), kProfileA, {1}, "1025 bytes, expected at most 1024"},
      {std::string("a\0b", 3), kProfileA, {1}, "NUL"},
      {"", "", {1}, "expected 64 lower-case hex digits"},
      {"", std::string(64, 'A'), {1}, "expected 64 lower-case hex digits"},
      {"", std::string(63, 'a'), {1}, "of 63 bytes"},
      {"", std::string(66, 'a'), {1}, "of 66 bytes"},
      {"", kProfileA, {}, "found 0, expected 1 to 1048576"},
      {"", kProfileA, std::vector<int32_t>(1'048'577), "found 1048577, expected 1 to 1048576"},
      {"", kProfileA, {5, -1}, "token 1 is -1"},
  };
  for (const Case& c : cases) {
    const auto key = EntryKey(c.tenant, c.profile, c.tokens);
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(std::string(key.status().message()), HasSubstr(c.message));
  }
  EXPECT_TRUE(EntryKey(std::string(1'024, 'x'), kProfileA, std::vector<int32_t>(1'048'576)).ok());
}

TEST(EntryKey, RefusesEveryTruncationAndExtension) {
  const std::string key = *EntryKey("t", kProfileA, {1});
  for (size_t size = 0; size < key.size(); ++size) {
    EXPECT_EQ(ParseEntryKey(absl::string_view(key).substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(ParseEntryKey(absl::StrCat(key, "x")).ok());
  std::string variant = key;
  variant.back() = 1;
  EXPECT_FALSE(ParseEntryKey(variant).ok());
}

TEST(OwnerKeys, RoundTripInBothDirections) {
  const KvVariant variant{KvVariantKind::kOrderedPrefix, {std::string(64, '1')}};
  const OwnerRow other{7, 1ull << 40, *EntryKey("t", kProfileA, {1}, variant)};
  EXPECT_EQ(*ParseOwnerKey(ChunkOwnerKey(other)), other);
  EXPECT_EQ(*ParseOwnerKey(EntryOwnerKey(other)), other);
  const OwnerRow row{7, 1ull << 40, *EntryKey("t", kProfileA, {1})};
  EXPECT_EQ(*ParseOwnerKey(ChunkOwnerKey(row)), row);
  EXPECT_EQ(*ParseOwnerKey(EntryOwnerKey(row)), row);
  EXPECT_EQ(ChunkOwnerKey(row).find(ChunkOwnersPrefix(7, 1ull << 40)), 0u);
  EXPECT_EQ(ChunkOwnerKey(row).find(CollectionOwnersPrefix(7)), 0u);
  EXPECT_EQ(EntryOwnerKey(row).find(EntryOwnersPrefix(row.entry_key)), 0u);
}

TEST(OwnerKeys, RefuseEveryTruncation) {
  const OwnerRow row{7, 9, *EntryKey("t", kProfileA, {1})};
  for (const std::string& key : {ChunkOwnerKey(row), EntryOwnerKey(row)}) {
    for (size_t size = 0; size < key.size(); ++size) {
      EXPECT_EQ(ParseOwnerKey(absl::string_view(key).substr(0, size)).status().code(),
                absl::StatusCode::kDataLoss)
          << size;
    }
    EXPECT_FALSE(ParseOwnerKey(absl::StrCat("x", key)).ok());
  }
}

}  // namespace
}  // namespace larder::kv
