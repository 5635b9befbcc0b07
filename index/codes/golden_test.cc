// The byte formats, pinned: what Serialize and Encode write for fixed vectors. A failure here means that
// stored codes can no longer be read: give the format a new version, never new values to the old one.
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "index/codes/code.h"
#include "index/codes/code_test_support.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 20;

// Exact in binary, so that every compiler makes the same numbers.
std::vector<float> FixedRows(size_t rows) {
  std::vector<float> values(rows * kDimension);
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(state >> 20) - 2048) / 1024;
  }
  return values;
}

struct Golden {
  const char* name;
  const char* code;         // of row 3, in hex
  uint64_t serialized = 0;  // the fingerprint of Serialize
  friend void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.name; }
};
const Golden kGolden[] = {
    {"f32",
     "0000debe00e0d93f0000783f00e0b6bf00803d3f008019bf004011bf0000963f00c0973f00e0a5bf"
     "0020c3bf0080c4be00c0bf3f00c0643f0000123e004081bf0080ddbe0060bd3f0060a03f008003bf",
     0x145406466900982c},
    {"f16",
     "f0b6cf3ec03bb7bdec39ccb88ab8b03cbe3c2fbd19be24b6fe3d263b90300abcecb6eb3d033d1cb8",
     0x54555ecdfd094161},
    {"sq8",
     "41fff8a576538eb091a2646bb3575c00b94f1a52dbdc0ac010ee833c047db041",
     0x872b6d409ffc4009},
    {"sq4",
     "646fbf5a5705b85a295aef920ac052e28b3e047db04100000000000000000000",
     0xb7ab8513cd889b9e},
    {"sq4x8",
     "646fbf5a5705b85a295aef920ac052e28b3e047db0410000000000000000000055822f416f65cac6"
     "211e65bb1c90d27c69371d5f000000000000",
     0x678ca2a2a60f91a3},
    {"binary1",
     "ce1301000000000015372140047db041",
     0x0a9e82cfd815ab09},
    {"binary3",
     "921c050000000000376c0a0000000000ce1301000000000029c41e3f047db041",
     0x8b1a8da91e944957},
    {"rabitq1",
     "ce1301000000000015372140047db0419275ad3f",
     0x1a6e5ca7de4f01a8},
    {"rabitq3",
     "9718010000000000366c0a0000000000ce13010000000000e54b0a3f047db04166fd8e3e",
     0xceaf73b8412f0d82},
    {"rabitq4",
     "646ead595715a85a28590e6e19c097a8a33e047db0410a6b143e000000000000",
     0x018002c038906a83},
    {"rabitq8",
     "3fefe99b704f86a689995f66a8535803ae4c1b4f4add0dc0b66b8e3c047db041f32c203c00000000"
     "0000000000000000",
     0x3d0f31938789e5ff},
};

class GoldenCode : public testing::TestWithParam<Golden> {};

TEST_P(GoldenCode, EncodesToTheSameBytes) {
  auto options = ParseCodeName(GetParam().name, kDimension, Metric::kL2);
  ASSERT_TRUE(options.ok());
  const std::vector<float> rows = FixedRows(16);
  auto code = TrainCode(*options, rows);
  ASSERT_TRUE(code.ok()) << code.status();
  std::string bytes((*code)->bytes(), '\0');
  (*code)->Encode(&rows[3 * kDimension], reinterpret_cast<uint8_t*>(bytes.data()));
  const std::string serialized = (*code)->Serialize();
  EXPECT_EQ(absl::BytesToHexString(bytes), GetParam().code);
  EXPECT_EQ(Fingerprint(serialized.data(), serialized.size()), GetParam().serialized);
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenCode, testing::ValuesIn(kGolden),
                         [](const auto& info) { return std::string(info.param.name); });

// Training k-means differs between versions of FAISS: the codebook is made by hand.
TEST(GoldenPq, ReadsItsFormat) {
  std::string bytes("\x01\x05\x02\x04\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x2a\x00\x00\x00\x00\x00\x00\x00", 23);
  bytes += '\x00';                     // no rotation
  bytes += std::string("\x80\x20", 2);  // 4096 bytes of centroids
  for (int i = 0; i < 4 * 256; ++i) {
    const float value = static_cast<float>(i % 256) / 256 + static_cast<float>(i / 512);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  auto code = ParseCode(bytes);
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(CodeName((*code)->options()), "pq2");
  EXPECT_EQ((*code)->Serialize(), bytes);
  const float vector[4] = {0.5f, 0.5f, 1.25f, 1.25f};
  uint8_t encoded[2];
  (*code)->Encode(vector, encoded);
  EXPECT_EQ(encoded[0], 128);
  EXPECT_EQ(encoded[1], 64);
  float decoded[4];
  (*code)->Decode(encoded, decoded);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(decoded[i], vector[i]);
}

}  // namespace
}  // namespace larder::index
