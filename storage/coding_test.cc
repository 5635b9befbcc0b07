#include "storage/coding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace larder::storage {
namespace {

TEST(KeyString, KeepsOrderAndRoundTrips) {
  const std::vector<std::string> sorted = {"", std::string("\0", 1), std::string("\0a", 2), "a",
                                           std::string("a\0", 2), "a\x01", "aa", "b"};
  std::string previous;
  for (const std::string& value : sorted) {
    std::string key;
    AppendKeyString(value, &key);
    EXPECT_LT(previous, key) << "before " << value;
    previous = key;
    absl::string_view in = key;
    EXPECT_EQ(*ReadKeyString(&in), value);
    EXPECT_TRUE(in.empty());
  }
}

TEST(KeyString, RefusesEveryTruncation) {
  std::string key;
  AppendKeyString(std::string("a\0b", 3), &key);
  for (size_t size = 0; size < key.size(); ++size) {
    absl::string_view in = absl::string_view(key).substr(0, size);
    EXPECT_EQ(ReadKeyString(&in).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(KeyNumbers, KeepOrder) {
  const double inf = std::numeric_limits<double>::infinity();
  std::string previous;
  for (double value : {-inf, -1e300, -1.5, -1e-300, 0.0, 1e-300, 1.5, 1e300, inf}) {
    std::string key;
    AppendKeyDouble(value, &key);
    EXPECT_LT(previous, key) << value;
    previous = key;
  }
  previous.clear();
  for (int64_t value : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}, INT64_MAX}) {
    std::string key;
    AppendKeyInt64(value, &key);
    EXPECT_LT(previous, key) << value;
    previous = key;
  }
  std::string zero, minus_zero;
  AppendKeyDouble(0.0, &zero);
  AppendKeyDouble(-0.0, &minus_zero);
  EXPECT_EQ(zero, minus_zero);
}

TEST(PrefixEnd, IsTheFirstKeyPastThePrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff"), "");
  EXPECT_EQ(PrefixEnd(""), "");
}

std::string Sample() {
  RecordWriter writer(1);
  writer.U8(7);
  writer.U32(0xdeadbeef);
  writer.U64(1ull << 60);
  writer.Varint(300);
  writer.Double(-2.5);
  writer.Bytes("carrot");
  return std::move(writer).Finish();
}

TEST(Record, RoundTrips) {
  const std::string record = Sample();
  RecordReader reader(record, 1, "sample");
  EXPECT_EQ(reader.U8(), 7);
  EXPECT_EQ(reader.U32(), 0xdeadbeef);
  EXPECT_EQ(reader.U64(), 1ull << 60);
  EXPECT_EQ(reader.Varint(), 300u);
  EXPECT_EQ(reader.Double(), -2.5);
  EXPECT_EQ(reader.Bytes(), "carrot");
  EXPECT_TRUE(reader.AtEnd());
  EXPECT_TRUE(reader.status().ok());
}

TEST(Record, RefusesEveryTruncationAndALaterVersion) {
  const std::string record = Sample();
  for (size_t size = 0; size < record.size(); ++size) {
    RecordReader reader(absl::string_view(record).substr(0, size), 1, "sample");
    reader.U8();
    reader.U32();
    reader.U64();
    reader.Varint();
    reader.Double();
    reader.Bytes();
    EXPECT_EQ(reader.status().code(), absl::StatusCode::kDataLoss) << size;
  }
  std::string later = record;
  later[0] = 2;
  EXPECT_EQ(RecordReader(later, 1, "sample").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace larder::storage
