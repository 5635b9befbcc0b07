#include "engine/chunk_directory.h"

#include <gtest/gtest.h>

#include <random>

namespace larder {
namespace {

TEST(ChunkDirectory, ResolvesLiveChunksAndDropsRemovedOnes) {
  ChunkDirectory directory;
  directory.AddDocument("", "a", {10, 11});
  directory.AddDocument("red", "b", {5000});
  EXPECT_EQ(directory.documents(), 2u);
  EXPECT_TRUE(directory.has_tenants());
  directory.Remove({10, 999});
  std::vector<Hit> hits(4);
  hits[0].vid = 10;
  hits[1].vid = 11;
  hits[2].vid = 1'000'000;  // where there never were chunks
  hits[3].vid = 5000;
  directory.Resolve(&hits);
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].document_id, "a");
  EXPECT_EQ(hits[0].ordinal, 1u);
  EXPECT_EQ(hits[1].document_id, "b");
  directory.Remove({11, 5000});
  EXPECT_EQ(directory.documents(), 0u);
  EXPECT_EQ(directory.chunks(), 0u);
  EXPECT_FALSE(directory.has_tenants());
}

TEST(ChunkDirectory, RoundTripsAndRefusesEveryDamagedByte) {
  ChunkDirectory directory;
  for (uint64_t i = 0; i < 20; ++i) {
    directory.AddDocument(i % 3 == 0 ? "t" : "", "doc" + std::to_string(i), {i * 1000, i * 1000 + 1});
  }
  directory.Remove({3000, 3001, 4000});
  const std::string bytes = directory.Serialize("tag");
  ChunkDirectory loaded;
  std::string tag;
  ASSERT_TRUE(loaded.Deserialize(bytes, &tag).ok());
  EXPECT_EQ(tag, "tag");
  EXPECT_EQ(*loaded.live(), *directory.live());
  EXPECT_EQ(loaded.documents(), 19u);
  ChunkPlace place;
  ASSERT_TRUE(loaded.Find(6001, &place));
  EXPECT_EQ(place.tenant, "t");
  EXPECT_EQ(place.document_id, "doc6");
  EXPECT_EQ(place.ordinal, 1u);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 1;
    ChunkDirectory other;
    EXPECT_EQ(other.Deserialize(damaged, &tag).code(), absl::StatusCode::kDataLoss) << "byte " << i;
    EXPECT_FALSE(ChunkDirectory().Deserialize(bytes.substr(0, i), &tag).ok()) << "cut at " << i;
  }
}

}  // namespace
}  // namespace larder
