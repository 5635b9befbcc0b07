#include "engine/kv/kv_directory.h"

#include <gtest/gtest.h>

#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_summary.h"
#include "storage/coding.h"

namespace larder::kv {
namespace {

DirectoryEntry Of(uint64_t bytes) { return {.bytes = bytes, .tokens = 4}; }

TEST(KvDirectory, AnswersWithWhatWasPutLast) {
  KvDirectory directory;
  const KvKeyHash hash{1, 2}, twin{1, 3};
  EXPECT_EQ(directory.Put(hash, Of(10)), std::nullopt);
  EXPECT_EQ(directory.Put(hash, Of(20)), Of(10));
  EXPECT_EQ(directory.Find(hash), Of(20));
  EXPECT_EQ(directory.Find(twin), std::nullopt);
  EXPECT_EQ(directory.size(), 1u);
  EXPECT_EQ(directory.Erase(hash), Of(20));
  EXPECT_EQ(directory.Erase(hash), std::nullopt);
  EXPECT_EQ(directory.size(), 0u);
}

TEST(KvDirectory, FillingBringsNothingBack) {
  KvDirectory directory;
  directory.Put({1, 1}, Of(10));
  directory.Put({2, 2}, Of(10));
  directory.Erase({2, 2});
  EXPECT_FALSE(directory.Fill({1, 1}, Of(99)));  // what was put since is newer
  EXPECT_FALSE(directory.Fill({2, 2}, Of(99)));  // deleted since
  EXPECT_TRUE(directory.Fill({3, 3}, Of(30)));
  EXPECT_EQ(directory.Find({1, 1}), Of(10));
  EXPECT_EQ(directory.Find({2, 2}), std::nullopt);
  EXPECT_FALSE(directory.filled());
  directory.SetFilled();
  EXPECT_TRUE(directory.filled());
}

TEST(KvDirectory, TakesAHundredBytesAnEntry) {
  KvDirectory directory;
  constexpr uint64_t kEntries = 100'000;
  for (uint64_t i = 0; i < kEntries; ++i) directory.Put(HashOf(std::to_string(i)), Of(i));
  EXPECT_EQ(directory.size(), kEntries);
  EXPECT_GE(directory.MemoryBytes(), kEntries * sizeof(DirectoryEntry));
  EXPECT_LE(directory.MemoryBytes(), kEntries * 115);
}

// Never regenerate to go green: databases hold these bytes.
TEST(Summary, HasGoldenBytes) {
  const Summary summary{"key", 300, 5, 0.5, 7, true};
  const std::string bytes("\x01\x03key\xac\x02\x05\0\0\0\0\0\0\xe0\x3f\x07\0\0\0\0\0\0\0\x01", 25);
  EXPECT_EQ(EncodeSummary(summary), bytes);
  EXPECT_EQ(DecodeSummary(bytes, "s").value(), summary);
  const Summary rotated{"key", 300, 5, 0.5, 7, true, 9};
  EXPECT_EQ(EncodeSummary(rotated), bytes.substr(0, 24) + std::string("\x03\x09\0\0\0", 5));
  EXPECT_EQ(DecodeSummary(EncodeSummary(rotated), "s").value(), rotated);
  EXPECT_EQ(SummaryKey({0x0102030405060708, 0x090a0b0c0d0e0f10}),
            "s\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10");
  EXPECT_EQ(ParseSummaryKey(SummaryKey({5, 6})).value(), (KvKeyHash{5, 6}));
}

TEST(Summary, RefusesWhatItDidNotWrite) {
  const std::string good = EncodeSummary({"key", 300, 5, 0.5, 7, true});
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(DecodeSummary(good.substr(0, length), "s").status().code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeSummary(good + "x", "s").status().code(), absl::StatusCode::kDataLoss);
  std::string flags = good;
  flags.back() = 4;
  EXPECT_EQ(DecodeSummary(flags, "s").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeSummary(EncodeSummary({"k", 1, 1, -1.0}), "s").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseSummaryKey("s123").status().code(), absl::StatusCode::kDataLoss);
}

TEST(Summary, HashesTheWholeEntryKey) {
  const std::string profile(64, 'a');
  const std::string key = EntryKey("t", profile, {{1, 2}}).value();
  EXPECT_EQ(HashOf(key).high, storage::ReadKey64(Sha256(key).data()));
  EXPECT_NE(HashOf(key), HashOf(EntryKey("u", profile, {{1, 2}}).value()));
  EXPECT_NE(HashOf(key), HashOf(EntryKey("t", profile, {{1, 3}}).value()));
  EXPECT_NE(HashOf(key), HashOf(EntryKey("t", std::string(64, 'b'), {{1, 2}}).value()));
}

TEST(EstimateSeconds, IsTokensTimesLayers) {
  EXPECT_DOUBLE_EQ(EstimateSeconds(17'000, 32), 1.0);
  EXPECT_DOUBLE_EQ(EstimateSeconds(34'000, 16), 1.0);
}

}  // namespace
}  // namespace larder::kv
