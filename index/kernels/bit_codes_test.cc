#include "index/kernels/bit_codes.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "index/codes/code_test_support.h"
#include "index/kernels/half.h"

namespace larder::index {
namespace {

class BitKernelTest : public hwy::TestWithParamTarget {
 protected:
  std::vector<uint64_t> Words(size_t count) {
    std::vector<uint64_t> words(count);
    for (uint64_t& word : words) word = random_();
    return words;
  }
  std::mt19937_64 random_{11};
};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(BitKernelTest);

TEST_P(BitKernelTest, PlaneSumsAreExact) {
  for (uint32_t n : CodeDimensions()) {
    const size_t words = PlaneWords(n);
    for (size_t code_planes : {1, 2, 3, 7}) {
      const size_t query_planes = 2 + n % 7;
      const std::vector<uint64_t> code = Words(words * code_planes), once = Words(words * query_planes);
      std::vector<uint64_t> repeated;
      for (size_t p = 0; p < query_planes; ++p) {
        for (size_t b = 0; b < code_planes; ++b) {
          repeated.insert(repeated.end(), once.begin() + p * words, once.begin() + (p + 1) * words);
        }
      }
      int64_t sum = 0;
      for (size_t i = 0; i < 64 * words; ++i) {
        int64_t level = 0, value = 0;
        for (size_t b = 0; b < code_planes; ++b) level += (code[b * words + i / 64] >> (i % 64) & 1) << b;
        for (size_t p = 0; p < query_planes; ++p) {
          const int64_t bit = once[p * words + i / 64] >> (i % 64) & 1;
          value += p + 1 == query_planes ? -(bit << p) : bit << p;
        }
        sum += level * value;
      }
      std::vector<uint8_t> row(code.size() * 8 + 8);
      const float factors[2] = {1, 0};
      std::memcpy(row.data(), code.data(), code.size() * 8);
      std::memcpy(row.data() + code.size() * 8, factors, sizeof(factors));
      const uint8_t* rows[3] = {row.data(), row.data(), row.data()};
      float out[3];
      SelectBitKernels().planes({repeated.data(), words, code_planes, query_planes, 0, 1, 0}, rows, 3, out);
      for (float got : out) ASSERT_EQ(got, static_cast<float>(sum)) << n << ' ' << code_planes;
    }
  }
}

TEST_P(BitKernelTest, BlockSumsAreExact) {
  for (uint32_t n : CodeDimensions()) {
    const size_t groups = BlockGroups(n);
    std::vector<uint8_t> tables(16 * groups), block(16 * groups);
    for (uint8_t& byte : tables) byte = n % 5 == 0 ? 255 : static_cast<uint8_t>(random_());
    for (uint8_t& byte : block) byte = static_cast<uint8_t>(random_());
    uint32_t sums[kBlockCodes];
    SelectBitKernels().block(tables.data(), block.data(), groups, sums);
    for (size_t j = 0; j < kBlockCodes; ++j) {
      uint32_t sum = 0;
      for (size_t g = 0; g < groups; ++g) {
        const uint8_t byte = block[16 * g + j % 16];
        sum += tables[16 * g + (j < 16 ? byte & 15 : byte >> 4)];
      }
      ASSERT_EQ(sums[j], sum) << n << ' ' << j;
    }
  }
}

TEST_P(BitKernelTest, HalvesAgreeWithDoublePrecision) {
  for (uint32_t n : CodeDimensions()) {
    for (DistanceForm form : {DistanceForm::kOneMinusDot, DistanceForm::kMinusDot, DistanceForm::kSquaredL2}) {
      const std::vector<float> query = RandomRows(1, n, Metric::kDot, n);
      std::vector<uint8_t> row(2 * n + 1);  // misaligned by one
      double dot = 0, l2 = 0, size = 1;
      for (size_t i = 0; i < n; ++i) {
        const uint16_t half = HalfFromFloat(std::normal_distribution<float>()(random_));
        const double x = FloatFromHalf(half);
        std::memcpy(row.data() + 1 + 2 * i, &half, 2);
        dot += x * query[i];
        l2 += (x - query[i]) * (x - query[i]);
        size += std::abs(x * query[i]) + (x - query[i]) * (x - query[i]);
      }
      const double expected = form == DistanceForm::kSquaredL2 ? l2 : form == DistanceForm::kMinusDot ? -dot : 1 - dot;
      const uint8_t* rows[5];
      for (auto& pointer : rows) pointer = row.data() + 1;
      float out[5];
      SelectHalfKernel(form)(query.data(), rows, 5, n, out);
      for (float got : out) ASSERT_NEAR(got, expected, 6e-8 * size * (8 + std::sqrt(n))) << n;
      ASSERT_EQ(std::memcmp(&out[0], &out[4], sizeof(float)), 0) << n;
    }
  }
}

TEST(Half, EveryFiniteHalfSurvives) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half >> 10 & 31) == 31) continue;
    EXPECT_EQ(HalfFromFloat(FloatFromHalf(static_cast<uint16_t>(half))), half);
  }
  EXPECT_EQ(HalfFromFloat(1e9f), 0x7BFF);
  EXPECT_EQ(HalfFromFloat(-1e9f), 0xFBFF);
  EXPECT_EQ(HalfFromFloat(1 + 0x1p-11f), 0x3C00);      // to even
  EXPECT_EQ(HalfFromFloat(1 + 3 * 0x1p-11f), 0x3C02);
  EXPECT_EQ(HalfFromFloat(2048.0f - 0x1p-3f), 0x6800);  // carries into the exponent
}

}  // namespace
}  // namespace larder::index
