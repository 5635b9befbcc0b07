#include "engine/kv/kv_entry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace larder::kv {
namespace {

Entry Sample() {
  const std::vector<int32_t> tokens = {0, 127, 128, 16'383, 16'384, INT32_MAX};
  Entry entry;
  entry.header.created_ms = 1'700'000'000'123;
  entry.header.codec = "raw";
  entry.header.profile_id = std::string(64, 'a');
  entry.header.tenant = std::string("ten\0ant", 7);
  entry.header.token_count = 6;
  entry.header.tokens = EncodeTokens(tokens);
  for (uint64_t i = 0; i < 3; ++i) {
    entry.layers.push_back({{1, 4096 * (i + 1), 100, 7}, {2, 4096 * (i + 1), 200, 8}});
  }
  entry.header.bytes = 900;
  return entry;
}

TEST(Tokens, RoundTrip) {
  const std::vector<int32_t> tokens = {0, 127, 128, 16'383, 16'384, INT32_MAX, 0};
  const std::string bytes = EncodeTokens(tokens);
  EXPECT_EQ(bytes.size(), 1u + 1 + 2 + 2 + 3 + 5 + 1);
  EXPECT_EQ(*DecodeTokens(bytes, 7), tokens);
}

TEST(Tokens, RefuseAnotherCountTruncationAndOutOfRange) {
  const std::string bytes = EncodeTokens({5, 300});
  EXPECT_FALSE(DecodeTokens(bytes, 1).ok());
  EXPECT_FALSE(DecodeTokens(bytes, 3).ok());
  EXPECT_FALSE(DecodeTokens(absl::string_view(bytes).substr(0, 2), 2).ok());
  EXPECT_FALSE(DecodeTokens("\xff\xff\xff\xff\x08", 1).ok());      // 2^31 + ...
  EXPECT_FALSE(DecodeTokens("\xff\xff\xff\xff\xff\x01", 1).ok());  // six bytes
}

TEST(Entry, RoundTrips) {
  const std::string record = EncodeEntry(Sample());
  EXPECT_EQ(*DecodeEntry(record, "entry"), Sample());
  EXPECT_EQ(*DecodeEntryHeader(record, "entry"), Sample().header);
}

TEST(Entry, CountsItsBytesAnew) {
  Entry entry = Sample();
  entry.header.bytes = 1;
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry")->header.bytes, 900u);
}

TEST(Entry, RefusesEveryTruncationAndExtension) {
  const std::string record = EncodeEntry(Sample());
  for (size_t size = 0; size < record.size(); ++size) {
    const auto entry = DecodeEntry(absl::string_view(record).substr(0, size), "entry");
    EXPECT_EQ(entry.status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(DecodeEntry(record + "x", "entry").status().code(), absl::StatusCode::kDataLoss);
}

TEST(Entry, SurvivesEveryFlippedByte) {
  const std::string record = EncodeEntry(Sample());
  for (size_t i = 0; i < record.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string damaged = record;
      damaged[i] = static_cast<char>(damaged[i] ^ mask);
      const auto entry = DecodeEntry(damaged, "entry");  // DataLoss or another entry, never a crash
      EXPECT_FALSE(entry.ok() && *entry == Sample()) << i;
    }
  }
}

TEST(Entry, RefusesALaterVersionAndAnUnknownVariant) {
  std::string later = EncodeEntry(Sample());
  later[0] = 2;
  EXPECT_EQ(DecodeEntry(later, "entry").status().code(), absl::StatusCode::kDataLoss);
  std::string variant = EncodeEntry(Sample());
  variant[1] = 1;
  EXPECT_EQ(DecodeEntry(variant, "entry").status().message(), "entry: variant is 1, expected at most 0");
}

TEST(Entry, HoldsItsPointersOnly) {
  const Entry entry = Sample();
  EXPECT_TRUE(Holds(entry, {1, 4096, 100, 7}));
  EXPECT_TRUE(Holds(entry, {2, 12288, 200, 8}));
  EXPECT_FALSE(Holds(entry, {1, 4096, 100, 8}));
}

}  // namespace
}  // namespace larder::kv
