#include "index/snapshot.h"

#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "index/test_vectors.h"

namespace larder::index {
namespace {

constexpr Kind kKinds[] = {Kind::kFlat, Kind::kHnsw};

class SnapshotTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/larder_snapshot_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/1.idx";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  IndexOptions Options() const {
    return {.kind = GetParam(), .dimension = 12, .metric = Metric::kL2, .m = 4};
  }
  // `count` rows, a quarter removed, ten duplicates.
  std::unique_ptr<VectorIndex> Filled(size_t count) const {
    auto index = *CreateIndex(Options());
    const std::vector<float> rows = ClusteredVectors(count, 12, 1);
    for (Vid vid = 0; vid < count; ++vid) {
      EXPECT_TRUE(index->Add({vid * 5}, {rows.data() + vid * 12, 12}).ok());
    }
    for (Vid vid = 0; vid < 10 && count > 0; ++vid) {
      EXPECT_TRUE(index->Add({1000000 + vid}, {rows.data(), 12}).ok());
    }
    for (Vid vid = 0; vid < count; vid += 4) index->Remove({vid * 5});
    return index;
  }
  std::string Bytes() const {
    std::ostringstream out;
    out << std::ifstream(path_, std::ios::binary).rdbuf();
    return out.str();
  }
  void Write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  absl::Status LoadStatus() const { return LoadIndex(path_, Options()).status(); }

  std::string directory_, path_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, SnapshotTest, testing::ValuesIn(kKinds));

TEST_P(SnapshotTest, RoundTripAnswersTheSame) {
  for (size_t count : {0, 1, 2, 2500}) {
    const auto index = Filled(count);
    const std::string tag("commit 7\0\xff", 10);
    ASSERT_TRUE(index->Save(path_, tag).ok());
    EXPECT_FALSE(std::filesystem::exists(path_ + ".tmp"));
    auto loaded = LoadIndex(path_, Options());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->tag, tag);
    EXPECT_EQ(loaded->index->LiveVids(), index->LiveVids());
    EXPECT_EQ(loaded->index->Stats().live, index->Stats().live);
    EXPECT_EQ(loaded->index->Stats().tombstones, index->Stats().tombstones);
    const std::vector<float> queries = ClusteredVectors(60, 12, 2);
    for (size_t q = 0; q < 60; ++q) {
      const absl::Span<const float> query(queries.data() + q * 12, 12);
      EXPECT_EQ(*loaded->index->Search(query, {.k = 10, .ef = 20}),
                *index->Search(query, {.k = 10, .ef = 20}));
    }
    // It goes on as the original would.
    for (VectorIndex* each : {index.get(), loaded->index.get()}) {
      EXPECT_TRUE(each->Add({7, 8}, ClusteredVectors(2, 12, 8)).ok());
      EXPECT_EQ(each->Add({7}, ClusteredVectors(1, 12, 8)).code(), absl::StatusCode::kAlreadyExists);
    }
    ASSERT_TRUE(index->Save(path_, "").ok());
    const std::string first = Bytes();
    ASSERT_TRUE(loaded->index->Save(path_, "").ok());
    EXPECT_EQ(Bytes(), first);  // equal indexes, equal bytes
  }
}

TEST_P(SnapshotTest, AbsentIsNotFoundAndOtherOptionsAreRefused) {
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Filled(10)->Save(path_, "").ok());
  IndexOptions other = Options();
  other.dimension = 13;
  EXPECT_EQ(LoadIndex(path_, other).status().code(), absl::StatusCode::kInvalidArgument);
  other = Options();
  other.metric = Metric::kCosine;
  EXPECT_EQ(LoadIndex(path_, other).status().code(), absl::StatusCode::kInvalidArgument);
  other = Options();
  other.kind = GetParam() == Kind::kFlat ? Kind::kHnsw : Kind::kFlat;
  EXPECT_EQ(LoadIndex(path_, other).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Filled(1)->Save(directory_ + "/absent/1.idx", "").code(), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotTest, EveryFlippedBitIsRefused) {
  ASSERT_TRUE(Filled(200)->Save(path_, "tag").ok());
  const std::string bytes = Bytes();
  std::mt19937 random(3);
  for (int i = 0; i < 600; ++i) {
    std::string damaged = bytes;
    const size_t at = i < 368 ? i : random() % bytes.size();  // every byte of the header
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    Write(damaged);
    EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss) << at;
  }
}

TEST_P(SnapshotTest, EveryTruncationAndExcessIsRefused) {
  ASSERT_TRUE(Filled(100)->Save(path_, "tag").ok());
  const std::string bytes = Bytes();
  for (size_t length = 0; length < bytes.size(); length += length < 400 ? 1 : 251) {
    Write(bytes.substr(0, length));
    EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss) << length;
  }
  Write(bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss);
  Write(bytes + '\0');
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss);
  Write(bytes);
  EXPECT_TRUE(LoadStatus().ok());
}

// CRC-32C, bit by bit: independent of the one under test.
uint32_t SlowCrc32c(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
  }
  return ~crc;
}

// Bytes with a header field changed and its checksum made right again.
std::string Forge(std::string bytes, size_t offset, uint64_t value, size_t size) {
  std::memcpy(bytes.data() + offset, &value, size);
  const uint32_t crc = SlowCrc32c(bytes.substr(0, 364));
  std::memcpy(bytes.data() + 364, &crc, sizeof(crc));
  return bytes;
}

TEST_P(SnapshotTest, LyingHeadersAreRefusedWithoutAllocating) {
  ASSERT_TRUE(Filled(100)->Save(path_, "tag").ok());
  const std::string bytes = Bytes();
  Write(Forge(bytes, 48, 110, 8));  // what it is: the forger's checksum is right
  ASSERT_TRUE(LoadStatus().ok()) << LoadStatus();
  for (uint64_t value : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 40, uint64_t{1} << 31, uint64_t{111},
                         uint64_t{109}, uint64_t{0}}) {
    for (char section = 0; section < bytes[12]; ++section) {  // offsets and lengths
      for (size_t field : {8, 16}) {
        const size_t at = 72 + section * 24 + field;
        if (std::memcmp(bytes.data() + at, &value, 8) == 0) continue;  // no lie
        Write(Forge(bytes, at, value, 8));
        EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss) << at << ' ' << value;
      }
    }
    Write(Forge(bytes, 48, value, 8));  // count
    EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss) << value;
    Write(Forge(bytes, 8, value ^ 1, 4));  // version
    EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss) << value;
  }
  Write(Forge(bytes, 12, bytes[12] + 1, 4));
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss);
  Write(Forge(bytes, 12, bytes[12] - 1, 4));
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kDataLoss);
}

// Elements changed behind right checksums: the graph itself must be checked.
class HnswSnapshotTest : public SnapshotTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, HnswSnapshotTest, testing::Values(Kind::kHnsw));

TEST_P(HnswSnapshotTest, ForgedGraphsAreRefusedOrHarmless) {
  ASSERT_TRUE(Filled(150)->Save(path_, "tag").ok());
  const std::string bytes = Bytes();
  std::mt19937 random(4);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string forged = bytes;
    for (int change = 0; change < 1 + i % 3; ++change) {
      const size_t at = 368 + random() % (bytes.size() - 368);
      forged[at] = static_cast<char>(random());
    }
    if (i % 10 == 0) Write(Forge(bytes, 56 + 8 * (i % 20 / 10), random() % 300, 8));  // entry, its level
    for (size_t section = 0; section < 4; ++section) {
      uint64_t offset, length;
      std::memcpy(&offset, forged.data() + 72 + section * 24 + 8, 8);
      std::memcpy(&length, forged.data() + 72 + section * 24 + 16, 8);
      const uint32_t crc = SlowCrc32c(forged.substr(offset, length));
      std::memcpy(forged.data() + 72 + section * 24 + 4, &crc, 4);
    }
    if (i % 10 != 0) Write(Forge(forged, 36, 0, 4));
    auto loaded = LoadIndex(path_, Options());
    if (!loaded.ok()) {
      EXPECT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss);
      ++refused;
      continue;
    }
    const std::vector<float> query = ClusteredVectors(1, 12, 2);
    EXPECT_TRUE(loaded->index->Search(query, {.k = 10, .ef = 5}).ok());
    EXPECT_TRUE(loaded->index->Add({77}, query).ok());
  }
  EXPECT_GT(refused, 200);
}

TEST_P(SnapshotTest, SearchesGoOnWhileSaving) {
  const auto index = Filled(2000);
  const std::vector<float> query = ClusteredVectors(1, 12, 2);
  const auto expected = *index->Search(query, {});
  std::thread saver([&] {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(index->Save(path_, "t").ok());
  });
  std::thread adder([&] {
    for (Vid vid = 0; vid < 30; ++vid) {
      EXPECT_TRUE(index->Add({5000000 + vid}, std::vector<float>(12, 1000.0f + vid)).ok());
    }
  });
  for (int i = 0; i < 200; ++i) EXPECT_EQ(*index->Search(query, {}), expected);
  saver.join(), adder.join();
  EXPECT_TRUE(LoadIndex(path_, Options()).ok());
}

TEST_P(SnapshotTest, AFailedSaveLeavesTheOldOne) {
  ASSERT_TRUE(Filled(10)->Save(path_, "old").ok());
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0755), 0);  // in the way
  EXPECT_FALSE(Filled(20)->Save(path_, "new").ok());
  std::filesystem::remove(path_ + ".tmp");
  EXPECT_EQ(LoadIndex(path_, Options())->tag, "old");
}

// The format itself. Never regenerate these bytes to make the test pass: a change of them is a new
// format version.
TEST(SnapshotFormat, GoldenBytes) {
  std::string pattern = testing::TempDir() + "/larder_golden_XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/1.idx";
  const IndexOptions options{
      .kind = Kind::kFlat, .dimension = 2, .metric = Metric::kL2, .m = 5, .ef_construction = 6, .seed = 7};
  auto index = *CreateIndex(options);
  ASSERT_TRUE(index->Add({3, 4}, {1, 2, 3, 4}).ok());
  index->Remove({4});
  ASSERT_TRUE(index->Save(path, "tag").ok());
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string bytes = out.str();
  std::filesystem::remove_all(pattern);
  const auto u32 = [&](size_t at) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + at, 4);
    return value;
  };
  ASSERT_EQ(bytes.size(), 368u + 3 + 16 + 2 + 16);
  EXPECT_EQ(bytes.substr(0, 8), "LARDRIDX");
  const uint32_t header[] = {2, 4, 1, 2, 2, 5, 6, 0, 7, 0, 2, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < std::size(header); ++i) EXPECT_EQ(u32(8 + 4 * i), header[i]) << i;
  const std::string sections[] = {"tag", std::string("\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 16),
                                  std::string("\0\1", 2),
                                  std::string("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40", 16)};
  uint32_t offset = 368;
  for (uint32_t i = 0; i < 4; ++i) {
    const size_t at = 72 + 24 * i;
    EXPECT_EQ(u32(at), i + 1);
    EXPECT_EQ(u32(at + 4), SlowCrc32c(sections[i]));
    EXPECT_EQ(u32(at + 8), offset);
    EXPECT_EQ(u32(at + 16), sections[i].size());
    EXPECT_EQ(bytes.substr(offset, sections[i].size()), sections[i]);
    offset += sections[i].size();
  }
  EXPECT_EQ(u32(360), 0u);
  EXPECT_EQ(u32(364), SlowCrc32c(bytes.substr(0, 364)));
}

}  // namespace
}  // namespace larder::index
