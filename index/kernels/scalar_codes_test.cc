#include "index/kernels/scalar_codes.h"

#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "index/codes/code_test_support.h"

namespace larder::index {
namespace {

constexpr ScalarTerms kPlain{0, 0, 0, 1, 0};  // the sum itself, as step is 1 below
constexpr ScalarTerms kAll{0.5f, -2, 0.25f, -0.125f, 1};

// Rows of random codes with lo = 3, step = 1 and norm = 7 behind them.
class ScalarKernelTest : public hwy::TestWithParamTarget {
 protected:
  std::vector<uint8_t> Row(size_t code_bytes, size_t factors) {
    std::vector<uint8_t> row(RoundUp(code_bytes + 4 * factors, 16));
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(random_());
    const float values[3] = {3, 1, 7};
    std::memcpy(row.data() + code_bytes, values, 4 * factors);
    return row;
  }
  std::vector<int8_t> Query(size_t dimension, bool nibbles) {
    std::vector<int8_t> values(RoundUp(dimension, nibbles ? 128 : 64));
    for (size_t i = 0; i < dimension; ++i) {
      values[nibbles ? NibblePlace(i, dimension) : i] = static_cast<int8_t>(random_() % 255 - 127);
    }
    return values;
  }
  static int64_t Sum(const std::vector<uint8_t>& row, const std::vector<int8_t>& query, size_t n, bool nibbles) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; ++i) {
      const size_t place = nibbles ? NibblePlace(i, n) : i;
      int code = row[i];
      if (nibbles) {
        const uint8_t byte = row[place / 128 * 64 + place % 64];
        code = place % 128 < 64 ? byte & 15 : byte >> 4;
      }
      sum += code * query[place];
    }
    return sum;
  }
  std::mt19937 random_{7};
};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(ScalarKernelTest);

TEST_P(ScalarKernelTest, SumsAreExactInEveryPlace) {
  const ScalarKernels kernels = SelectScalarKernels();
  for (uint32_t n : CodeDimensions()) {
    for (bool nibbles : {false, true}) {
      const std::vector<int8_t> values = Query(n, nibbles);
      std::vector<std::vector<uint8_t>> rows;
      std::vector<const uint8_t*> pointers;
      for (int i = 0; i < 7; ++i) rows.push_back(Row(nibbles ? (n + 1) / 2 : n, 3));
      for (const auto& row : rows) pointers.push_back(row.data());
      std::vector<float> out(rows.size()), finished(rows.size());
      const auto kernel = nibbles ? kernels.sq4 : kernels.sq8;
      for (size_t count = 1; count <= rows.size(); ++count) {
        kernel({values.data(), n, kPlain}, pointers.data(), count, out.data());
        kernel({values.data(), n, kAll}, pointers.data(), count, finished.data());
        for (size_t i = 0; i < count; ++i) {
          const float sum = static_cast<float>(Sum(rows[i], values, n, nibbles));
          ASSERT_EQ(out[i], sum) << n << ' ' << nibbles << ' ' << i;
          ASSERT_NEAR(finished[i], 0.5 - 2 * 3 + (-0.125 * sum + 0.25) + 7, 1e-6 * std::abs(sum) + 1e-5) << n;
        }
      }
    }
  }
}

TEST_P(ScalarKernelTest, TheLargestSumsAreExact) {
  const size_t n = 65536;
  std::vector<uint8_t> row(n + 16, 255);
  const float factors[2] = {0, 1};
  std::memcpy(row.data() + n, factors, sizeof(factors));
  const std::vector<int8_t> values(n, -127);
  const uint8_t* pointer = row.data();
  float out = 0;
  SelectScalarKernels().sq8({values.data(), n, kPlain}, &pointer, 1, &out);
  EXPECT_EQ(out, static_cast<float>(-255.0 * 127 * n));
}

TEST_P(ScalarKernelTest, ResidualsAgreeWithDoublePrecision) {
  for (uint32_t n : CodeDimensions()) {
    const std::vector<uint8_t> row = Row((n + 1) / 2, 2);
    std::vector<uint8_t> residual(ResidualBytes(n));
    for (uint8_t& byte : residual) byte = static_cast<uint8_t>(random_());
    std::vector<float> values(RoundUp(n, 128));
    double sum = 0, magnitude = 1;
    for (size_t i = 0; i < n; ++i) {
      const size_t place = NibblePlace(i, n);
      values[place] = std::normal_distribution<float>()(random_);
      const uint8_t byte = row[place / 128 * 64 + place % 64];
      const int code = place % 128 < 64 ? byte & 15 : byte >> 4;
      const double term = static_cast<double>(values[place]) * (kResidualSteps * code + residual[i]);
      sum += term;
      magnitude += std::abs(term);
    }
    const uint8_t* row_pointer = row.data();
    const uint8_t* residual_pointer = residual.data();
    float out = 0;
    SelectScalarKernels().sq4x8({values.data(), n, kPlain}, &row_pointer, &residual_pointer, 1, &out);
    ASSERT_NEAR(out, sum, 6e-8 * magnitude * (8 + std::sqrt(n))) << n;
  }
}

TEST(ScalarKernels, NibblePlacesAreDistinct) {
  for (uint32_t n : CodeDimensions()) {
    std::vector<bool> taken(RoundUp(n, 128));
    for (size_t i = 0; i < n; ++i) {
      const size_t place = NibblePlace(i, n);
      ASSERT_LT(place, taken.size());
      ASSERT_FALSE(taken[place]) << n << ' ' << i;
      taken[place] = true;
      ASSERT_LT(place / 128 * 64 + place % 64, (n + 1) / 2) << n << ' ' << i;
    }
  }
}

}  // namespace
}  // namespace larder::index
