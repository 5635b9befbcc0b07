#include "tools/readers/elements.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;

// By the definition of binary16, without tricks.
float SlowHalf(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  double magnitude = exponent == 31  ? (fraction == 0 ? std::numeric_limits<double>::infinity() : NAN)
                     : exponent == 0 ? std::ldexp(fraction, -24)
                                     : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>(half & 0x8000 ? -magnitude : magnitude);
}

TEST(HalfToFloat, IsExactForEveryHalf) {
  for (uint32_t half = 0; half <= 0xFFFF; ++half) {
    float expected = SlowHalf(static_cast<uint16_t>(half)), found = HalfToFloat(static_cast<uint16_t>(half));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(found)) << half;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(expected)) << half;
    }
  }
}

template <typename T>
std::vector<float> Floats(ElementType type, const std::vector<T>& values) {
  std::vector<char> bytes(1 + values.size() * sizeof(T));  // one off, so that nothing is aligned
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  EXPECT_EQ(ElementBytes(type), sizeof(T));
  std::vector<float> out(values.size());
  ElementsToFloat(type, bytes.data() + 1, values.size(), out.data());
  return out;
}

TEST(ElementsToFloat, ConvertsEveryType) {
  EXPECT_THAT(Floats<uint16_t>(ElementType::kF16, {0x3C00, 0xC000}), ElementsAre(1, -2));
  EXPECT_THAT(Floats<float>(ElementType::kF32, {0.5f, -3}), ElementsAre(0.5f, -3));
  EXPECT_THAT(Floats<double>(ElementType::kF64, {0.25}), ElementsAre(0.25f));
  EXPECT_THAT(Floats<int8_t>(ElementType::kI8, {-128, 127}), ElementsAre(-128, 127));
  EXPECT_THAT(Floats<uint8_t>(ElementType::kU8, {0, 255}), ElementsAre(0, 255));
  EXPECT_THAT(Floats<int32_t>(ElementType::kI32, {-5}), ElementsAre(-5));
  EXPECT_THAT(Floats<int64_t>(ElementType::kI64, {1ll << 40}), ElementsAre(0x1p40f));
}

TEST(ElementsToInt64, KeepsEveryBit) {
  int64_t values[] = {std::numeric_limits<int64_t>::min(), (1ll << 53) + 1}, out[2];
  ElementsToInt64(ElementType::kI64, values, 2, out);
  EXPECT_THAT(out, ElementsAre(values[0], values[1]));
  int32_t small[] = {-7};
  ElementsToInt64(ElementType::kI32, small, 1, out);
  EXPECT_EQ(out[0], -7);
}

}  // namespace
}  // namespace larder::tools
