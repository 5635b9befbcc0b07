#include "storage/extent_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "storage/crc32c.h"

namespace larder::storage {
namespace {

using absl::StatusCode;

constexpr ExtentPointer kPointer{.file = 42, .offset = 8192, .length = 12000, .crc32c = 0x01020304};

// Golden bytes: a change here is a change of format. Do not regenerate to make the test pass.
TEST(ExtentFormat, BytesAreAsWritten) {
  std::string pointer;
  EncodePointer(kPointer, &pointer);
  EXPECT_EQ(absl::BytesToHexString(pointer), "2a0000000020000000000000e02e00000000000004030201");

  const std::string header = EncodeExtentFileHeader(42);
  ASSERT_EQ(header.size(), 4096u);
  EXPECT_EQ(absl::BytesToHexString(header.substr(0, 64)),
            "4c41524452455854010000002a0000000010000000000000000000000000000000000000000000000000000000000000"
            "000000000000000000000000eea46d98");
  EXPECT_EQ(header.substr(64), std::string(4096 - 64, '\0'));

  EXPECT_EQ(absl::BytesToHexString(ExtentRowKey(42, 8192)), "0000002a0000000000002000");
  EXPECT_EQ(absl::BytesToHexString(EncodeExtentRow(kPointer, {Table::kKvEntries, "key"})),
            "01e05d0403020109036b6579");
}

TEST(ExtentFormat, PaddingIsWholeBlocksAndNeverNone) {
  EXPECT_EQ(PaddedExtentBytes(0), 4096u);
  EXPECT_EQ(PaddedExtentBytes(1), 4096u);
  EXPECT_EQ(PaddedExtentBytes(4096), 4096u);
  EXPECT_EQ(PaddedExtentBytes(4097), 8192u);
}

TEST(ExtentFormat, PointerRoundTripsAndRefusesOtherLengths) {
  std::string bytes;
  EncodePointer(kPointer, &bytes);
  EXPECT_EQ(*DecodePointer(bytes), kPointer);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodePointer(bytes.substr(0, size)).status().code(), StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(DecodePointer(bytes + "x").status().code(), StatusCode::kDataLoss);
}

TEST(ExtentFormat, FileNames) {
  EXPECT_EQ(ExtentFileName(1), "000001.ext");
  EXPECT_EQ(ExtentFileName(12345678), "12345678.ext");
  for (const uint32_t file : {1u, 999999u, 1000000u, 4294967295u}) {
    EXPECT_EQ(ParseExtentFileName(ExtentFileName(file)), file);
  }
  for (const char* name :
       {"", ".ext", "000000.ext", "1.ext", "000001.ex", "000001.ext2", "0000001.ext", "-00001.ext",
        "+00001.ext", " 00001.ext", "00000a.ext", "4294967296.ext", "000001.EXT"}) {
    EXPECT_EQ(ParseExtentFileName(name), std::nullopt) << name;
  }
}

TEST(ExtentFormat, HeaderNoticesEveryBitAndTruncation) {
  const std::string header = EncodeExtentFileHeader(7);
  ASSERT_TRUE(CheckExtentFileHeader(header, 7).ok());
  EXPECT_EQ(CheckExtentFileHeader(header, 8).code(), StatusCode::kDataLoss);
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    std::string flipped = header;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(CheckExtentFileHeader(flipped, 7).code(), StatusCode::kDataLoss) << bit;
  }
  for (size_t size = 0; size < header.size(); ++size) {
    EXPECT_EQ(CheckExtentFileHeader(header.substr(0, size), 7).code(), StatusCode::kDataLoss) << size;
  }
}

TEST(ExtentFormat, ALaterVersionIsRefusedNotCalledDamage) {
  std::string header = EncodeExtentFileHeader(7);
  header[8] = 2;
  const uint32_t crc = Crc32c(header.substr(0, 60));
  for (int i = 0; i < 4; ++i) header[60 + i] = static_cast<char>(crc >> (8 * i));
  const absl::Status status = CheckExtentFileHeader(header, 7);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "000007.ext: written in version 2; this program reads up to 1");
}

TEST(ExtentFormat, RowRoundTrips) {
  const ExtentOwner owner{Table::kKvEntries, std::string("a\0b", 3)};
  const std::string key = ExtentRowKey(kPointer.file, kPointer.offset);
  const std::string value = EncodeExtentRow(kPointer, owner);
  const absl::StatusOr<ExtentRow> row = DecodeExtentRow(key, value);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(row->pointer, kPointer);
  EXPECT_EQ(row->owner.table, owner.table);
  EXPECT_EQ(row->owner.key, owner.key);
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_EQ(DecodeExtentRow(key, value.substr(0, size)).status().code(), StatusCode::kDataLoss) << size;
  }
}

TEST(ExtentFormat, HostileRowsAreRefused) {
  const std::string value = EncodeExtentRow(kPointer, {Table::kKvEntries, "k"});
  for (const std::string& key : {ExtentRowKey(0, 4096), ExtentRowKey(1, 0), ExtentRowKey(1, 5000),
                                 ExtentRowKey(1, uint64_t{1} << 62), std::string("short"), std::string()}) {
    EXPECT_EQ(DecodeExtentRow(key, value).status().code(), StatusCode::kDataLoss) << absl::CEscape(key);
  }
  ExtentPointer huge = kPointer;
  huge.length = uint64_t{1} << 62;
  const std::string key = ExtentRowKey(1, 4096);
  EXPECT_EQ(DecodeExtentRow(key, EncodeExtentRow(huge, {Table::kKvEntries, "k"})).status().code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(
      DecodeExtentRow(key, EncodeExtentRow(kPointer, {static_cast<Table>(kTableCount), "k"})).status().code(),
      StatusCode::kDataLoss);
}

}  // namespace
}  // namespace larder::storage
