#include "index/codes/scalar_code.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"
#include "index/codes/code_test_support.h"

namespace larder::index {
namespace {

constexpr CodeKind kScalarKinds[] = {CodeKind::kSq8, CodeKind::kSq4, CodeKind::kSq4x8};

class ScalarCodeTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(ScalarCodeTest);

TEST_P(ScalarCodeTest, ErrorsKeepTheirBound) {
  size_t pairs = 0, broken = 0;
  for (uint32_t n : {1, 2, 3, 5, 17, 64, 100, 129, 384, 1000}) {
    for (Metric metric : kMetrics) {
      for (CodeKind kind : kScalarKinds) {
        const EncodedRows set({kind, n, metric}, 50, n);
        const std::vector<float> queries = RandomRows(10, n, metric, n + 1);
        for (size_t q = 0; q < 10; ++q) {
          CodeQuery query;
          set.code->Prepare(queries.data() + q * n, &query);
          const std::vector<float> estimates = set.Estimates(query);
          for (size_t i = 0; i < 50; ++i, ++pairs) {
            const double error =
                std::abs(estimates[i] - ExactDistance(queries.data() + q * n, set.row(i), n, metric));
            const double bound = set.code->ErrorBound(query, set.pointers[i]);
            broken += error > bound;
            ASSERT_LT(error, 2.5 * bound + 1e-5) << n << ' ' << CodeName(set.code->options());
          }
        }
      }
    }
  }
  EXPECT_LT(broken, pairs / 100);
}

TEST_P(ScalarCodeTest, EstimatesAgreeWithDecodedVectors) {
  for (uint32_t n : CodeDimensions()) {
    for (CodeKind kind : kScalarKinds) {
      const Metric metric = kMetrics[n % 3];
      const EncodedRows set({kind, n, metric}, 5, n);
      const std::vector<float> raw = RandomRows(1, n, metric, n + 1);
      CodeQuery query;
      set.code->Prepare(raw.data(), &query);
      const std::vector<float> estimates = set.Estimates(query);
      std::vector<float> decoded(n);
      for (size_t i = 0; i < 5; ++i) {
        set.code->Decode(set.pointers[i], decoded.data());
        double error = 0, norm = 0, query_norm = 0;
        for (size_t j = 0; j < n; ++j) {
          error += std::pow(decoded[j] - set.row(i)[j], 2.0);
          norm += std::pow(set.row(i)[j], 2.0);
          query_norm += std::pow(raw[j], 2.0);
        }
        const double relative = kind == CodeKind::kSq4 ? 0.12 : kind == CodeKind::kSq8 ? 0.01 : 0.001;
        ASSERT_LT(std::sqrt(error), relative * std::sqrt(norm) + 0.02) << n << ' ' << CodeName(set.code->options());
        const double distance = ExactDistance(raw.data(), decoded.data(), n, metric);
        // The query's int8 and, under l2, the code's own error (the estimate has the exact norm).
        const double slack = 0.01 * (query_norm + norm) + (metric == Metric::kL2 ? 3 * std::sqrt(error * norm) : 0);
        ASSERT_NEAR(estimates[i], distance, slack + 0.02) << n << ' ' << CodeName(set.code->options());
      }
    }
  }
}

TEST_P(ScalarCodeTest, ARowsEstimateDoesNotDependOnItsPlace) {
  for (CodeKind kind : kScalarKinds) {
    const EncodedRows set({kind, 100, Metric::kL2}, 9, 3);
    CodeQuery query;
    set.code->Prepare(set.row(2), &query);
    const std::vector<float> together = set.Estimates(query);
    for (size_t i = 0; i < 9; ++i) {
      float alone = 0;
      set.code->Estimate(query, &set.pointers[i], 1, &alone);
      EXPECT_EQ(alone, together[i]);
    }
  }
}

TEST(ScalarCode, APrefixOfAHundredDimensionsIsOneLine) {
  for (uint32_t n : {100, 104, 112}) {
    const EncodedRows set({CodeKind::kSq4x8, n, Metric::kCosine}, 1, 1);
    EXPECT_EQ(static_cast<const ScalarCode&>(*set.code).prefix_bytes(), 64);
  }
  const EncodedRows set({CodeKind::kSq4x8, 100, Metric::kL2}, 1, 1);
  EXPECT_EQ(static_cast<const ScalarCode&>(*set.code).prefix_bytes(), 64);
}

TEST(ScalarCode, PartsApartGiveTheSameEstimates) {
  const EncodedRows set({CodeKind::kSq4x8, 100, Metric::kCosine}, 70, 1);
  const auto& code = static_cast<const ScalarCode&>(*set.code);
  std::vector<std::vector<uint8_t>> prefixes, residuals;
  std::vector<const uint8_t*> prefix_rows, residual_rows;
  for (const auto& bytes : set.codes) {
    prefixes.emplace_back(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(code.prefix_bytes()));
    residuals.emplace_back(bytes.begin() + static_cast<ptrdiff_t>(code.prefix_bytes()), bytes.end());
    EXPECT_EQ(residuals.back().size(), code.residual_bytes());
  }
  for (size_t i = 0; i < prefixes.size(); ++i) {
    prefix_rows.push_back(prefixes[i].data());
    residual_rows.push_back(residuals[i].data());
  }
  CodeQuery query;
  code.Prepare(set.row(0), &query);
  std::vector<float> full(70), walk(70);
  code.EstimateFull(query, prefix_rows.data(), residual_rows.data(), 70, full.data());
  code.EstimatePrefix(query, prefix_rows.data(), 70, walk.data());
  EXPECT_EQ(full, set.Estimates(query));
  for (size_t i = 0; i < 70; ++i) {
    const double exact = ExactDistance(set.row(0), set.row(i), 100, Metric::kCosine);
    EXPECT_NEAR(walk[i], exact, 0.05);
    EXPECT_NEAR(full[i], exact, 5e-4);
  }
}

TEST(ScalarCode, OddVectorsAreEncoded) {
  for (CodeKind kind : kScalarKinds) {
    for (Metric metric : {Metric::kDot, Metric::kL2}) {
      const std::vector<float> sample(40, 0.5f);
      auto code = TrainCode({kind, 20, metric}, sample);
      ASSERT_TRUE(code.ok());
      std::vector<uint8_t> bytes((*code)->bytes());
      for (float value : {0.5f, 0.0f, 1e-38f, -1e15f, 1e15f}) {
        std::vector<float> vector(20, value), decoded(20);
        vector[3] = -value;
        (*code)->Encode(vector.data(), bytes.data());
        (*code)->Decode(bytes.data(), decoded.data());
        for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(decoded[i], vector[i], 0.25 * std::abs(value) + 0.2) << value;
      }
    }
  }
}

}  // namespace
}  // namespace larder::index
