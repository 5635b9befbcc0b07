#include "engine/kv/kv_entry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"

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

// What the encoder of version 1 wrote for Sample(). Never regenerate to go green.
constexpr char kVersion1[] =
    "01007b68e5cf8b0100000372617740616161616161616161616161616161616161616161616161616161616161616161"
    "616161616161616161616161616161616161616161616161616161616161610774656e00616e74060e007f8001ff7f80"
    "8001ffffffff078407031801000000001000000000000064000000000000000700000018020000000010000000000000"
    "c80000000000000008000000180100000000200000000000006400000000000000070000001802000000002000000000"
    "0000c8000000000000000800000018010000000030000000000000640000000000000007000000180200000000300000"
    "00000000c80000000000000008000000";

// With all that version 2 added.
Entry SampleWithContext() {
  Entry entry = Sample();
  entry.header.variant = KvVariantKind::kOrderedPrefix;
  entry.header.context = std::string(32, 'p') + std::string(32, 'q');
  entry.header.rotated_from = 1'000;
  entry.sidecars = {{KvSidecarKind::kSaliency, {3, 4096, 24, 9}},
                    {KvSidecarKind::kCentroids, {3, 8192, 70, 10}}};
  return entry;
}

TEST(Entry, ReadsRecordsOfVersion1) {
  const std::string record = absl::HexStringToBytes(kVersion1);
  const auto entry = DecodeEntry(record, "entry");
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(*entry, Sample());
  EXPECT_EQ(*DecodeEntryHeader(record, "entry"), Sample().header);
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(DecodeEntry(absl::string_view(record).substr(0, size), "entry").ok()) << size;
  }
  std::string variant = record;
  variant[1] = 1;
  EXPECT_EQ(DecodeEntry(variant, "entry").status().message(), "entry: variant is 1, expected at most 0");
}

TEST(Entry, RoundTripsContextBasePositionAndSidecars) {
  Entry entry = SampleWithContext();
  const std::string record = EncodeEntry(entry);
  EXPECT_EQ(*DecodeEntry(record, "entry"), entry);
  EXPECT_EQ(*DecodeEntryHeader(record, "entry"), entry.header);
  entry.header.rotated_from = 0;  // not the same as none
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry")->header.rotated_from, 0u);
  entry.header.rotated_from = UINT32_MAX;
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry")->header.rotated_from, UINT32_MAX);
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_EQ(DecodeEntry(absl::string_view(record).substr(0, size), "entry").status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST(Entry, RefusesAContextThatIsNotItsVariants) {
  Entry entry = SampleWithContext();
  for (const size_t size : {0, 31, 33, 1'025 * 32}) {
    entry.header.context = std::string(size, 'p');
    EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry").status().code(), absl::StatusCode::kDataLoss) << size;
  }
  entry = Sample();
  entry.header.context = std::string(32, 'p');
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry").status().message(),
            "entry: variant 0 with a context of 32 bytes");
}

TEST(Entry, RefusesSidecarsTwiceOrUnknown) {
  Entry entry = SampleWithContext();
  entry.sidecars[1].kind = KvSidecarKind::kSaliency;
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry").status().code(), absl::StatusCode::kDataLoss);
  entry.sidecars[1].kind = static_cast<KvSidecarKind>(3);
  EXPECT_EQ(DecodeEntry(EncodeEntry(entry), "entry").status().message(),
            "entry: sidecar kind is 3, expected at most 2");
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
  later[0] = 3;
  EXPECT_EQ(DecodeEntry(later, "entry").status().code(), absl::StatusCode::kDataLoss);
  std::string variant = EncodeEntry(Sample());
  variant[1] = 4;
  EXPECT_EQ(DecodeEntry(variant, "entry").status().message(), "entry: variant is 4, expected at most 3");
}

TEST(Entry, HoldsItsPointersOnly) {
  const Entry entry = SampleWithContext();
  EXPECT_TRUE(Holds(entry, {3, 8192, 70, 10}));
  EXPECT_EQ(PointersOf(entry).size(), 8u);
  EXPECT_TRUE(Holds(entry, {1, 4096, 100, 7}));
  EXPECT_TRUE(Holds(entry, {2, 12288, 200, 8}));
  EXPECT_FALSE(Holds(entry, {1, 4096, 100, 8}));
}

}  // namespace
}  // namespace larder::kv
