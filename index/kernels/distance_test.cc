#include "index/kernels/distance.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"

namespace larder::index {
namespace {

constexpr DistanceForm kForms[] = {DistanceForm::kOneMinusDot, DistanceForm::kMinusDot,
                                   DistanceForm::kSquaredL2};

struct Expected {
  double value;
  double tolerance;  // of the terms' magnitudes; rounding errors of a long sum walk at random
};

Expected Reference(DistanceForm form, const float* a, const float* b, size_t n) {
  double sum = 0, magnitude = 1;
  for (size_t i = 0; i < n; ++i) {
    const double x = a[i], y = b[i];
    const double term = form == DistanceForm::kSquaredL2 ? (x - y) * (x - y) : x * y;
    sum += term;
    magnitude += std::abs(term);
  }
  const double value = form == DistanceForm::kSquaredL2  ? sum
                       : form == DistanceForm::kMinusDot ? -sum
                                                         : 1 - sum;
  constexpr double kHalfUlp = 6e-8;
  return {value, magnitude * kHalfUlp * (8 + std::sqrt(static_cast<double>(n)))};
}

std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = 1; n <= 130; ++n) lengths.push_back(n);
  for (size_t n : {256, 384, 768, 1000, 1536, 4095, 4096, 4097, 65536}) lengths.push_back(n);
  return lengths;
}

// Every instruction set that this CPU has and the build contains, the scalar one included.
class DistanceKernelTest : public hwy::TestWithParamTarget {
 protected:
  std::vector<float> Random(size_t n) {
    std::vector<float> values(n);
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random_);
    return values;
  }
  std::mt19937 random_{20240611};
};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(DistanceKernelTest);

TEST_P(DistanceKernelTest, IsTheChosenTarget) {
  EXPECT_STREQ(KernelTargetName(), hwy::TargetName(GetParam()));
}

TEST_P(DistanceKernelTest, OneAgreesWithDoublePrecision) {
  for (size_t n : Lengths()) {
    for (size_t shift : {0, 1, 3}) {
      const std::vector<float> a = Random(n + shift), b = Random(n + shift);
      for (DistanceForm form : kForms) {
        const Expected expected = Reference(form, a.data() + shift, b.data() + shift, n);
        EXPECT_NEAR(SelectKernels(form).one(a.data() + shift, b.data() + shift, &n), expected.value,
                    expected.tolerance)
            << "n " << n << " shift " << shift << " form " << static_cast<int>(form);
      }
    }
  }
}

TEST_P(DistanceKernelTest, BatchAgreesWithDoublePrecision) {
  for (size_t n : Lengths()) {
    const std::vector<float> query = Random(n);
    std::vector<std::vector<float>> rows;
    std::vector<const float*> pointers;
    for (size_t i = 0; i < 7; ++i) {
      rows.push_back(Random(n + i % 4));
      pointers.push_back(rows.back().data() + i % 4);  // misaligned
    }
    for (DistanceForm form : kForms) {
      std::vector<float> out(pointers.size());
      SelectKernels(form).batch(query.data(), pointers.data(), pointers.size(), n, out.data());
      for (size_t i = 0; i < pointers.size(); ++i) {
        const Expected expected = Reference(form, query.data(), pointers[i], n);
        EXPECT_NEAR(out[i], expected.value, expected.tolerance) << "n " << n << " row " << i;
      }
    }
  }
}

TEST_P(DistanceKernelTest, ARowsDistanceDoesNotDependOnItsPlace) {
  for (size_t n : {1, 7, 16, 33, 100, 384}) {
    const std::vector<float> query = Random(n), row = Random(n), other = Random(n);
    for (DistanceForm form : kForms) {
      const DistanceKernels kernels = SelectKernels(form);
      const float* alone = row.data();
      float expected = 0;
      kernels.batch(query.data(), &alone, 1, n, &expected);
      for (size_t count = 1; count <= 9; ++count) {
        for (size_t place = 0; place < count; ++place) {
          std::vector<const float*> rows(count, other.data());
          rows[place] = row.data();
          std::vector<float> out(count);
          kernels.batch(query.data(), rows.data(), count, n, out.data());
          EXPECT_EQ(std::memcmp(&out[place], &expected, sizeof(float)), 0)
              << n << ' ' << count << ' ' << place;
        }
      }
    }
  }
}

TEST_P(DistanceKernelTest, EmptyBatchWritesNothing) {
  float out = 7;
  SelectKernels(DistanceForm::kSquaredL2).batch(&out, nullptr, 0, 1, &out);
  EXPECT_EQ(out, 7);
}

TEST_P(DistanceKernelTest, ReadsOnlyTheRow) {
  // Sentinels around the row would poison the sum if they were read.
  const float nan = std::nanf("");
  for (size_t n = 1; n <= 70; ++n) {
    std::vector<float> a(n + 2, nan), b(n + 2, nan);
    for (size_t i = 1; i <= n; ++i) a[i] = 1, b[i] = 2;
    const float* row = b.data() + 1;
    float out = 0;
    SelectKernels(DistanceForm::kSquaredL2).batch(a.data() + 1, &row, 1, n, &out);
    EXPECT_EQ(out, static_cast<float>(n));
    EXPECT_EQ(SelectKernels(DistanceForm::kMinusDot).one(a.data() + 1, row, &n), -2.0f * n);
  }
}

TEST(DistanceKernels, IdenticalRowsAreAtZeroL2) {
  const std::vector<float> row(100, 0.123f);
  const size_t n = row.size();
  EXPECT_EQ(SelectKernels(DistanceForm::kSquaredL2).one(row.data(), row.data(), &n), 0);
}

}  // namespace
}  // namespace larder::index
