#include "index/codes/bit_code.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "index/codes/code_test_support.h"

namespace larder::index {
namespace {

// Mean squared error of estimates over `count` pairs, and how many lay outside their bound.
struct Errors {
  double mean_square = 0, mean = 0;
  double outside = 0;
};
Errors Measure(const CodeOptions& options, size_t rows, size_t queries) {
  const size_t n = options.dimension;
  const EncodedRows set(options, rows, 5);
  const std::vector<float> raw = RandomRows(queries, n, options.metric, 6);
  Errors errors;
  for (size_t q = 0; q < queries; ++q) {
    CodeQuery query;
    set.code->Prepare(raw.data() + q * n, &query);
    const std::vector<float> estimates = set.Estimates(query);
    for (size_t i = 0; i < rows; ++i) {
      const double error = estimates[i] - ExactDistance(raw.data() + q * n, set.row(i), n, options.metric);
      errors.mean_square += error * error;
      errors.mean += error;
      errors.outside += std::abs(error) > set.code->ErrorBound(query, set.pointers[i]);
    }
  }
  const double pairs = static_cast<double>(rows * queries);
  errors.mean_square /= pairs;
  errors.mean /= pairs;
  errors.outside /= pairs;
  return errors;
}

class BitCodeTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(BitCodeTest);

TEST_P(BitCodeTest, RabitqBoundHoldsForMost) {
  for (uint32_t n : {64, 100, 384}) {
    for (Metric metric : kMetrics) {
      for (uint32_t bits = 1; bits <= 8; ++bits) {
        const Errors errors = Measure({CodeKind::kRabitq, n, metric, bits}, 200, 20);
        EXPECT_LT(errors.outside, 0.08) << n << ' ' << bits << ' ' << static_cast<int>(metric);
        EXPECT_LT(std::abs(errors.mean), 0.2 * std::sqrt(errors.mean_square) + 1e-5) << n << ' ' << bits;
      }
    }
  }
}

TEST_P(BitCodeTest, EachBitHalvesTheError) {
  for (Metric metric : kMetrics) {
    double before = std::numeric_limits<double>::infinity();
    for (uint32_t bits = 1; bits <= 7; ++bits) {
      const double now = Measure({CodeKind::kRabitq, 128, metric, bits}, 200, 10).mean_square;
      EXPECT_LT(now, 0.5 * before) << bits;
      before = now;
    }
    before = std::numeric_limits<double>::infinity();
    for (uint32_t bits = 1; bits <= 4; ++bits) {
      const double now = Measure({CodeKind::kBinary, 128, metric, bits}, 200, 10).mean_square;
      EXPECT_LT(now, 0.8 * before) << bits;
      before = now;
    }
  }
}

TEST_P(BitCodeTest, EstimatesAgreeWithDecodedVectors) {
  for (uint32_t n : CodeDimensions()) {
    const uint32_t bits = 1 + n % 8;
    const EncodedRows set({CodeKind::kRabitq, n, Metric::kL2, bits}, 5, n);
    std::vector<float> decoded(n);
    for (size_t i = 0; i < 5; ++i) {
      set.code->Decode(set.pointers[i], decoded.data());
      CodeQuery query;
      set.code->Prepare(decoded.data(), &query);
      // |q - c|^2 + |o|^2 - 2 <q - c, o> with q = o~: |o~|^2 - |o|^2 is what is left, and the query's rounding.
      const double scale = ExactDistance(decoded.data(), std::vector<float>(n).data(), n, Metric::kL2) + n;
      ASSERT_NEAR(set.Estimates(query)[i], ExactDistance(decoded.data(), set.row(i), n, Metric::kL2),
                  (bits == 1 ? 1.5 : 0.5) * scale)
          << n;
    }
  }
}

TEST_P(BitCodeTest, BlocksAgreeWithRows) {
  for (uint32_t n : CodeDimensions()) {
    for (CodeKind kind : {CodeKind::kRabitq, CodeKind::kBinary}) {
      const Metric metric = kMetrics[n % 3];
      const EncodedRows set({kind, n, metric, 1}, 20, n);
      const auto& code = static_cast<const BitCode&>(*set.code);
      std::vector<uint8_t> block(code.block_bytes());
      code.PackBlock(set.pointers.data(), 20, block.data());
      const std::vector<float> raw = RandomRows(1, n, metric, n + 1);
      CodeQuery query;
      code.PrepareBlocks(raw.data(), &query);
      float out[kBlockCodes];
      code.EstimateBlock(query, block.data(), out);
      std::vector<float> decoded(n);
      for (size_t i = 0; i < 20; ++i) {
        code.Decode(set.pointers[i], decoded.data());
        // Differences of distances, where what does not depend on the code's bits cancels.
        double norm = 0;
        for (size_t j = 0; j < n; ++j) norm += std::abs(decoded[j]) + std::abs(raw[j]);
        CodeQuery exact;
        code.Prepare(raw.data(), &exact);
        float row = 0;
        code.Estimate(exact, &set.pointers[i], 1, &row);
        ASSERT_NEAR(out[i], row, (kind == CodeKind::kBinary ? 3 : 0.4) * (norm + 1)) << n << ' ' << i;
      }
      for (size_t i = 20; i < kBlockCodes; ++i) ASSERT_EQ(out[i], out[19]);
    }
  }
}

TEST(BitCode, BlocksAreAsGoodAsRows) {
  const EncodedRows set({CodeKind::kRabitq, 384, Metric::kCosine, 1}, 32, 1);
  const auto& code = static_cast<const BitCode&>(*set.code);
  std::vector<uint8_t> block(code.block_bytes());
  code.PackBlock(set.pointers.data(), 32, block.data());
  double by_block = 0, by_row = 0;
  const std::vector<float> raw = RandomRows(20, 384, Metric::kCosine, 9);
  for (size_t q = 0; q < 20; ++q) {
    CodeQuery blocks, rows;
    code.PrepareBlocks(raw.data() + q * 384, &blocks);
    code.Prepare(raw.data() + q * 384, &rows);
    float out[kBlockCodes];
    code.EstimateBlock(blocks, block.data(), out);
    const std::vector<float> estimates = set.Estimates(rows);
    for (size_t i = 0; i < 32; ++i) {
      const double exact = ExactDistance(raw.data() + q * 384, set.row(i), 384, Metric::kCosine);
      by_block += std::pow(out[i] - exact, 2);
      by_row += std::pow(estimates[i] - exact, 2);
    }
  }
  EXPECT_LT(by_block, 1.05 * by_row);
}

TEST(BitCode, TheCentreItselfHasNoError) {
  const std::vector<float> sample(300, 0.5f);
  for (CodeKind kind : {CodeKind::kRabitq, CodeKind::kBinary}) {
    auto code = TrainCode({kind, 30, Metric::kL2, 2}, sample);
    ASSERT_TRUE(code.ok());
    std::vector<uint8_t> bytes((*code)->bytes());
    (*code)->Encode(sample.data(), bytes.data());
    const std::vector<float> origin(30);
    CodeQuery query;
    (*code)->Prepare(origin.data(), &query);
    const uint8_t* row = bytes.data();
    float out = 0;
    (*code)->Estimate(query, &row, 1, &out);
    EXPECT_NEAR(out, 7.5, 1e-4);
  }
}

}  // namespace
}  // namespace larder::index
