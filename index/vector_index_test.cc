#include "index/vector_index.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "index/vector_math.h"

namespace larder::index {
namespace {

TEST(IndexOptions, ValidatesItself) {
  struct Case {
    IndexOptions options;
    const char* error;  // null = fine
  };
  const Case cases[] = {
      {{.dimension = 1}, nullptr},
      {{.dimension = 65536, .m = 256, .ef_construction = 10000}, nullptr},
      {{.dimension = 0}, "index options: dimension: expected 1 to 65536, found 0"},
      {{.dimension = 65537}, "index options: dimension: expected 1 to 65536, found 65537"},
      {{.kind = static_cast<Kind>(9), .dimension = 4}, "index options: unknown kind 9"},
      {{.dimension = 4, .metric = static_cast<Metric>(3)}, "index options: metric: expected 0 to 2, found 3"},
      {{.dimension = 4, .m = 1}, "index options: m: expected 2 to 256, found 1"},
      {{.dimension = 4, .m = 257}, "index options: m: expected 2 to 256, found 257"},
      {{.dimension = 4, .m = 16, .ef_construction = 15},
       "index options: ef_construction (at least m): expected 16 to 10000, found 15"},
      {{.kind = Kind::kFlat, .dimension = 4, .m = 0}, nullptr},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(std::string(c.options.Validate().message()), c.error == nullptr ? "" : c.error);
    EXPECT_TRUE(c.error == nullptr || !CreateIndex(c.options).ok());
  }
}

TEST(CheckVector, Table) {
  const float inf = std::numeric_limits<float>::infinity(), max = std::numeric_limits<float>::max();
  struct Case {
    std::vector<float> vector;
    Metric metric;
    bool ok;
  };
  const Case cases[] = {
      {{1, 2, 3}, Metric::kCosine, true},      {{1, 2}, Metric::kL2, false},
      {{1, 2, 3, 4}, Metric::kL2, false},      {{1, NAN, 3}, Metric::kL2, false},
      {{1, inf, 3}, Metric::kDot, false},      {{1, -inf, 3}, Metric::kCosine, false},
      {{0, 0, 0}, Metric::kCosine, false},     {{0, -0.0f, 0}, Metric::kCosine, false},
      {{0, 0, 0}, Metric::kDot, true},         {{0, 0, 0}, Metric::kL2, true},
      {{max, 0, 0}, Metric::kL2, false},       {{max, max, max}, Metric::kCosine, false},
      {{1e19f, 0, 0}, Metric::kDot, false},    {{1e18f, 1e18f, 1e18f}, Metric::kL2, true},
      {{1e-45f, 0, 0}, Metric::kCosine, true},
  };
  for (const Case& c : cases) {
    const absl::Status status = CheckVector(c.vector, 3, c.metric);
    EXPECT_EQ(status.ok(), c.ok) << status << ' ' << testing::PrintToString(c.vector);
    EXPECT_EQ(status.code(), c.ok ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument);
  }
}

TEST(CheckVector, NamesTheElementWhereverItIs) {
  for (size_t n = 1; n <= 20; ++n) {
    for (size_t at = 0; at < n; ++at) {
      std::vector<float> vector(n, 1);
      vector[at] = at % 2 == 0 ? NAN : -std::numeric_limits<float>::infinity();
      const absl::Status status = CheckVector(vector, static_cast<uint32_t>(n), Metric::kL2);
      EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("element ", at, ":"))) << status;
    }
  }
}

TEST(SquaredNorm, SumsEveryElement) {
  std::vector<float> vector;
  double sum = 0;
  for (int n = 0; n <= 40; ++n) {
    EXPECT_DOUBLE_EQ(SquaredNorm(vector), sum) << n;
    vector.push_back(static_cast<float>(n) - 7.5f);
    sum += (n - 7.5) * (n - 7.5);
  }
}

TEST(CheckVector, LargestVectorsHaveFiniteDistances) {
  const std::vector<float> a = {6e18f, 0}, b = {-6e18f, 0};
  for (Metric metric : {Metric::kCosine, Metric::kDot, Metric::kL2}) {
    ASSERT_TRUE(CheckVector(a, 2, metric).ok());
    auto index = CreateIndex({.kind = Kind::kFlat, .dimension = 2, .metric = metric});
    ASSERT_TRUE((*index)->Add({1}, a).ok());
    const auto found = (*index)->Search(b, {.k = 1});
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(std::isfinite(found->at(0).distance)) << found->at(0).distance;
  }
}

TEST(CheckVector, TinyVectorsAreNormalised) {
  auto index = CreateIndex({.kind = Kind::kFlat, .dimension = 2, .metric = Metric::kCosine});
  ASSERT_TRUE((*index)->Add({1}, {1e-45f, 0}).ok());
  EXPECT_EQ(*(*index)->Vector(1), (std::vector<float>{1, 0}));
}

}  // namespace
}  // namespace larder::index
