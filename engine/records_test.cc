#include "engine/records.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace larder {
namespace {

CollectionRecord Record() {
  CollectionRecord record;
  record.id = 7;
  record.name = "docs";
  record.embedder_fingerprint = "f";
  record.options.embedder = EmbedderKind::kNone;
  record.options.chunking.max_tokens = 300;
  record.options.spaces.resize(2);
  record.options.spaces[0].dimension = 384;
  record.options.spaces[0].index = IndexKind::kHnsw;
  record.options.spaces[0].hnsw.m = 24;
  record.options.spaces[1].name = "images";
  record.options.spaces[1].dimension = 512;
  record.options.spaces[1].metric = Metric::kL2;
  return record;
}

// What version 1 wrote of Record(). Never to be made anew: databases hold it.
constexpr char kVersion1[] =
    "010700000004646f63730166000000004004b0ea01ac021e01020764656661756c748003000218c8016006696d61676573800402"
    "0010c80160";

TEST(Records, ACollectionOfVersion1IsRead) {
  const auto read = DecodeCollection(absl::HexStringToBytes(kVersion1), "collection");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EncodeCollection(*read), EncodeCollection(Record()));
  EXPECT_EQ(read->options.spaces[0].hnsw.m, 24u);
  EXPECT_EQ(read->options.spaces[0].hnsw.row_code, RowCode::kAuto);
  EXPECT_EQ(read->options.spaces[1].name, "images");
}

TEST(Records, ACollectionComesBack) {
  CollectionRecord record = Record();
  record.options.spaces[0].hnsw.row_code = RowCode::kF32;
  record.options.spaces[1].hnsw.row_code = RowCode::kSq4x8;
  record.options.spaces[1].prefix = 128;
  const std::string bytes = EncodeCollection(record);
  const auto read = DecodeCollection(bytes, "collection");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EncodeCollection(*read), bytes);
  EXPECT_EQ(read->options.spaces[0].hnsw.row_code, RowCode::kF32);
  EXPECT_EQ(read->options.spaces[1].hnsw.row_code, RowCode::kSq4x8);
  EXPECT_EQ(read->options.spaces[0].prefix, 0u);
  EXPECT_EQ(read->options.spaces[1].prefix, 128u);
}

TEST(Records, ACollectionOfBadBytesIsRefused) {
  CollectionRecord record = Record();
  const std::string bytes = EncodeCollection(record);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeCollection(bytes.substr(0, size), "c").status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(DecodeCollection(bytes + "x", "c").status().code(), absl::StatusCode::kDataLoss);
  record.options.spaces[1].hnsw.row_code = static_cast<RowCode>(3);
  EXPECT_EQ(DecodeCollection(EncodeCollection(record), "c").status().message(),
            "c: hnsw row_code is 3, expected 0 to 2");
  record = Record();
  record.options.spaces[1].prefix = 512;
  EXPECT_EQ(DecodeCollection(EncodeCollection(record), "c").status().message(),
            "c: prefix (less than the dimension) is 512, expected 0 to 511");
}

}  // namespace
}  // namespace larder
