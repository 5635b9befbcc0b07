#include "tools/readers/matrix_reader.h"

#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MatrixReaderTest : public TestFiles {
 protected:
  std::vector<float> ReadAll(const std::string& path) {
    auto reader = MatrixReader::Open(path);
    EXPECT_TRUE(reader.ok()) << reader.status();
    if (!reader.ok()) return {};
    std::vector<float> out((*reader)->rows() * (*reader)->dim());
    absl::Status status = (*reader)->Read(0, (*reader)->rows(), out.data());
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }
};

std::string Npy(const std::string& descr, const std::string& shape, const std::string& data) {
  return NpyHeaderBytes(
             absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }")) +
         data;
}

TEST_F(MatrixReaderTest, ReadsEveryFormat) {
  const std::string one = Bytes<int32_t>({1}), two = Bytes<int32_t>({2});
  EXPECT_THAT(ReadAll(Write("a.npy", Npy("<f4", "(2, 2)", Bytes<float>({1, 2, 3, 4})))),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadAll(Write("h.npy", Npy("<f2", "(1, 2)", Bytes<uint16_t>({0x3C00, 0xC000})))),
              ElementsAre(1, -2));
  EXPECT_THAT(ReadAll(Write("l.npy", Npy("<i8", "(2,)", Bytes<int64_t>({7, -8})))), ElementsAre(7, -8));
  EXPECT_THAT(ReadAll(Write("e.npy", Npy("<f4", "(0, 9)", ""))), ElementsAre());
  EXPECT_THAT(ReadAll(Write("a.fvecs", two + Bytes<float>({1, 2}) + two + Bytes<float>({3, 4}))),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadAll(Write("a.ivecs", one + Bytes<int32_t>({-3}))), ElementsAre(-3));
  EXPECT_THAT(ReadAll(Write("A.BVECS", two + Bytes<uint8_t>({5, 255}))), ElementsAre(5, 255));
  EXPECT_THAT(ReadAll(Write("a.fbin", Bytes<uint32_t>({2, 1}) + Bytes<float>({1, 2}))), ElementsAre(1, 2));
  EXPECT_THAT(ReadAll(Write("a.ibin", Bytes<uint32_t>({1, 2}) + Bytes<int32_t>({1, 2}))), ElementsAre(1, 2));
  EXPECT_THAT(ReadAll(Write("a.u8bin", Bytes<uint32_t>({1, 2}) + Bytes<uint8_t>({1, 200}))),
              ElementsAre(1, 200));
  EXPECT_THAT(ReadAll(Write("a.i8bin", Bytes<uint32_t>({1, 2}) + Bytes<int8_t>({1, -2}))),
              ElementsAre(1, -2));
}

TEST_F(MatrixReaderTest, ReadsAnyRangeOfRowsAcrossItsBuffer) {
  // 300 rows of 4 KiB are more than the buffer of 1 MiB, whatever the format.
  constexpr int kRows = 300, kDim = 1024;
  std::vector<float> values(kRows * kDim);
  std::iota(values.begin(), values.end(), 0.0f);
  std::string fvecs;
  for (int row = 0; row < kRows; ++row) {
    fvecs += Bytes<int32_t>({kDim});
    fvecs.append(reinterpret_cast<const char*>(&values[row * kDim]), kDim * sizeof(float));
  }
  auto reader = MatrixReader::Open(Write("big.fvecs", fvecs));
  ASSERT_TRUE(reader.ok()) << reader.status();
  for (auto [first, count] : {std::pair(0, kRows), std::pair(0, 0), std::pair(kRows, 0),
                              std::pair(kRows - 1, 1), std::pair(17, 270)}) {
    std::vector<float> out(count * kDim);
    ASSERT_TRUE((*reader)->Read(first, count, out.data()).ok());
    EXPECT_TRUE(std::equal(out.begin(), out.end(), values.begin() + first * kDim)) << first << " " << count;
  }
  for (auto [first, count] : {std::pair(0, kRows + 1), std::pair(kRows + 1, 0)}) {
    std::vector<float> out(count * kDim);
    EXPECT_EQ((*reader)->Read(first, count, out.data()).code(), absl::StatusCode::kOutOfRange);
  }
}

TEST_F(MatrixReaderTest, ReadsIntegersExactly) {
  auto reader = MatrixReader::Open(Write("gt.npy", Npy("<i8", "(1, 2)", Bytes<int64_t>({1ll << 60, -1}))));
  ASSERT_TRUE(reader.ok()) << reader.status();
  int64_t out[2];
  ASSERT_TRUE((*reader)->ReadInts(0, 1, out).ok());
  EXPECT_THAT(out, ElementsAre(1ll << 60, -1));
  auto floats = MatrixReader::Open(Write("f.fbin", Bytes<uint32_t>({1, 2}) + Bytes<float>({1, 2})));
  ASSERT_TRUE(floats.ok());
  EXPECT_EQ((*floats)->ReadInts(0, 1, out).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MatrixReaderTest, RefusesLyingHeaders) {
  const std::string four = Bytes<float>({1, 2, 3, 4});
  struct Case {
    const char* name;
    std::string bytes;
    const char* message;
  } cases[] = {
      {"huge.npy", Npy("<f4", "(9223372036854775808, 4)", four),
       "expected 9223372036854775808 rows of 4 f32"},
      {"wide.npy", Npy("<f4", "(1, 9223372036854775808)", four), "byte 128: expected 1 to 2^31 - 1 columns"},
      {"both.npy", Npy("<f4", "(4294967296, 2147483647)", four), "found 144 bytes"},
      {"flat.npy", Npy("<f4", "(4, 0)", four), "columns, found 0"},
      {"short.npy", Npy("<f4", "(2, 4)", four),
       "expected 2 rows of 4 f32 to make a file of 160 bytes, found 144"},
      {"long.npy", Npy("<f4", "(1, 2)", four),
       "expected 1 rows of 2 f32 to make a file of 136 bytes, found 144"},
      {"none.npy", Npy("<f4", "(0, 4)", four), "expected 0 rows"},
      {"empty.npy", "", "byte 0: expected"},
      {"negative.fvecs", Bytes<int32_t>({-1}) + four,
       "byte 0: expected a dimension from 1 to 2^31 - 1, found -1"},
      {"zero.fvecs", Bytes<int32_t>({0}), "byte 0: expected a dimension from 1 to 2^31 - 1, found 0"},
      {"huge.fvecs", Bytes<int32_t>({2147483647}) + four, "byte 0: expected rows of 8589934592 bytes"},
      {"cut.fvecs", Bytes<int32_t>({2}) + four,
       "byte 12: expected rows of 12 bytes, found the end at byte 20"},
      {"empty.fvecs", "", "byte 0: expected a row, found 0 bytes"},
      {"huge.fbin", Bytes<uint32_t>({4294967295u, 2147483647u}) + four, "found 24 bytes"},
      {"wide.fbin", Bytes<uint32_t>({1, 4294967295u}) + four, "byte 4: expected a dimension"},
      {"zero.fbin", Bytes<uint32_t>({1, 0}) + four,
       "byte 4: expected a dimension from 1 to 2^31 - 1, found 0"},
      {"more.fbin", Bytes<uint32_t>({1, 2}) + four, "to make a file of 16 bytes, found 24 bytes"},
      {"empty.fbin", "1234567", "byte 0: expected 8 bytes of header, found 7 bytes"},
      {"name.txt", four, "expected .npy, .fvecs"},
  };
  for (const Case& c : cases) {
    std::string path = Write(c.name, c.bytes);
    auto reader = MatrixReader::Open(path);
    EXPECT_EQ(reader.status().code(), absl::StatusCode::kInvalidArgument) << c.name << reader.status();
    EXPECT_THAT(std::string(reader.status().message()), HasSubstr(path)) << c.name;
    EXPECT_THAT(std::string(reader.status().message()), HasSubstr(c.message)) << c.name;
  }
}

TEST_F(MatrixReaderTest, NamesTheRowWhoseDimensionDiffers) {
  const std::string bytes = Bytes<int32_t>({1, 7, 2, 8, 1, 9});
  auto reader = MatrixReader::Open(Write("mixed.ivecs", bytes));
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<float> out(3);
  EXPECT_THAT(std::string((*reader)->Read(0, 3, out.data()).message()),
              HasSubstr("byte 8: expected dimension 1, found 2"));
  EXPECT_TRUE((*reader)->Read(2, 1, out.data()).ok());
}

TEST_F(MatrixReaderTest, RefusesEveryTruncation) {
  const std::string npy = Npy("<f4", "(2, 3)", Bytes<float>({1, 2, 3, 4, 5, 6}));
  for (size_t length = 0; length < npy.size(); ++length) {
    EXPECT_FALSE(MatrixReader::Open(Write("t.npy", npy.substr(0, length))).ok()) << length;
  }
  const std::string fvecs =
      Bytes<int32_t>({3}) + Bytes<float>({1, 2, 3}) + Bytes<int32_t>({3}) + Bytes<float>({4, 5, 6});
  for (size_t length = 0; length < fvecs.size(); ++length) {
    bool whole_row = length == fvecs.size() / 2;
    EXPECT_EQ(MatrixReader::Open(Write("t.fvecs", fvecs.substr(0, length))).ok(), whole_row) << length;
  }
}

TEST_F(MatrixReaderTest, NoticesAFileThatShrinks) {
  auto reader = MatrixReader::Open(Write("s.fbin", Bytes<uint32_t>({2, 1}) + Bytes<float>({1, 2})));
  ASSERT_TRUE(reader.ok());
  std::filesystem::resize_file(Path("s.fbin"), 12);
  float out[2];
  EXPECT_EQ((*reader)->Read(0, 2, out).code(), absl::StatusCode::kDataLoss);
}

TEST_F(MatrixReaderTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(MatrixReader::Open(Path("missing.npy")).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(Path("folder.npy"));
  EXPECT_THAT(std::string(MatrixReader::Open(Path("folder.npy")).status().message()),
              HasSubstr("a directory"));
  EXPECT_TRUE(MatrixReader::Open(Write("raw", Bytes<uint32_t>({1, 1}) + Bytes<float>({1})), ".fbin").ok());
}

}  // namespace
}  // namespace larder::tools
