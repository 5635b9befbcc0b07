#include "index/codes/rotation.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"

namespace larder::index {
namespace {

std::vector<uint32_t> Dimensions() {
  std::vector<uint32_t> dimensions;
  for (uint32_t n = 1; n <= 130; ++n) dimensions.push_back(n);
  for (uint32_t n : {191, 192, 193, 255, 256, 257, 384, 511, 512, 513, 768, 1000, 1023, 1024, 1100, 4096}) {
    dimensions.push_back(n);
  }
  return dimensions;
}

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

double Dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

class RotationTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(RotationTest);

TEST_P(RotationTest, KeepsLengthsAndAnglesAndInverts) {
  for (uint32_t n : Dimensions()) {
    const Rotation rotation(n, 7);
    const std::vector<float> a = Random(n, n), b = Random(n, n + 1);
    std::vector<float> ra(n), rb(n), back(n);
    rotation.Apply(a.data(), ra.data());
    rotation.Apply(b.data(), rb.data());
    const double size = std::sqrt(Dot(a, a) * Dot(b, b));
    EXPECT_NEAR(Dot(ra, ra) / Dot(a, a), 1, 1e-5) << n;
    EXPECT_NEAR(Dot(ra, rb) / size, Dot(a, b) / size, 1e-5) << n;
    rotation.Invert(ra.data(), back.data());
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(back[i], a[i], 1e-5 * (1 + std::sqrt(Dot(a, a)))) << n;
  }
}

TEST_P(RotationTest, GivesTheSameBitsOnEveryTarget) {
  for (uint32_t n : Dimensions()) {
    const std::vector<float> a = Random(n, n);
    std::vector<float> here(n), best(n);
    hwy::SetSupportedTargetsForTest(0);
    Rotation(n, 7).Apply(a.data(), best.data());
    hwy::SetSupportedTargetsForTest(GetParam());
    Rotation(n, 7).Apply(a.data(), here.data());
    ASSERT_EQ(std::memcmp(here.data(), best.data(), n * sizeof(float)), 0) << n;
  }
}

TEST(Rotation, SpreadsASingleCoordinate) {
  for (uint32_t n : {100, 128, 384, 1000}) {
    const Rotation rotation(n, 42);
    for (uint32_t hot : {0u, n / 2, n - 1}) {
      std::vector<float> a(n);
      a[hot] = 1;
      rotation.Apply(a.data(), a.data());
      float largest = 0;
      for (float value : a) largest = std::max(largest, std::abs(value));
      EXPECT_LT(largest, 6 / std::sqrt(static_cast<float>(n))) << n << ' ' << hot;
    }
  }
}

TEST(Rotation, DependsOnTheSeed) {
  std::vector<float> a = Random(100, 1), b = a;
  Rotation(100, 1).Apply(a.data(), a.data());
  Rotation(100, 2).Apply(b.data(), b.data());
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace larder::index
