#include "index/codes/code.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "index/codes/code_test_support.h"

namespace larder::index {
namespace {

const char* const kNames[] = {"f32",     "f16",     "sq8",     "sq4",     "sq4x8",  "pq4", "opq4", "binary1",
                              "binary4", "rabitq1", "rabitq3", "rabitq4", "rabitq8"};

CodeOptions Named(const std::string& name, uint32_t dimension, Metric metric) {
  auto options = ParseCodeName(name, dimension, metric);
  EXPECT_TRUE(options.ok()) << options.status();
  return *options;
}

TEST(Code, NamesSurvive) {
  for (const char* name : kNames) EXPECT_EQ(CodeName(Named(name, 20, Metric::kL2)), name);
  for (const char* bad : {"", "sq", "sq8x", "sq16", "pq0", "pq21", "rabitq9", "binary5", "f32a", "pq-1"}) {
    EXPECT_EQ(ParseCodeName(bad, 20, Metric::kL2).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Code, ParsedIsTheSame) {
  for (const char* name : kNames) {
    for (Metric metric : kMetrics) {
      const EncodedRows set(Named(name, 20, metric), 300, 1);
      const std::string bytes = set.code->Serialize();
      auto parsed = ParseCode(bytes);
      ASSERT_TRUE(parsed.ok()) << name << ' ' << parsed.status();
      EXPECT_EQ((*parsed)->Serialize(), bytes);
      std::vector<uint8_t> again((*parsed)->bytes());
      (*parsed)->Encode(set.row(7), again.data());
      EXPECT_EQ(again, set.codes[7]) << name;
      CodeQuery a, b;
      set.code->Prepare(set.row(1), &a);
      (*parsed)->Prepare(set.row(1), &b);
      float x = 0, y = 1;
      set.code->Estimate(a, &set.pointers[3], 1, &x);
      (*parsed)->Estimate(b, &set.pointers[3], 1, &y);
      EXPECT_EQ(x, y) << name;
    }
  }
}

TEST(Code, HostileBytesAreRefused) {
  for (const char* name : kNames) {
    const EncodedRows set(Named(name, 12, Metric::kDot), 300, 1);
    const std::string bytes = set.code->Serialize();
    for (size_t size = 0; size < bytes.size(); size += size < 120 ? 1 : 977) {
      EXPECT_EQ(ParseCode(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << name << size;
    }
    EXPECT_EQ(ParseCode(bytes + "x").status().code(), absl::StatusCode::kDataLoss) << name;
    for (size_t at = 0; at < std::min<size_t>(bytes.size(), 120); ++at) {
      for (char flip : {'\x01', '\x80', '\xff'}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        const auto parsed = ParseCode(damaged);  // may be another valid code; must not crash
        EXPECT_TRUE(parsed.ok() || parsed.status().code() == absl::StatusCode::kDataLoss) << name << ' ' << at;
      }
    }
  }
  // A dimension that asks for more than is there.
  std::string huge("\x01\x02\x00\xff\xff\x00\x00", 7);
  huge.resize(30);
  EXPECT_EQ(ParseCode(huge).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Code, SamplesThatAreTooSmallAreRefused) {
  for (const char* name : kNames) {
    const CodeOptions options = Named(name, 20, Metric::kDot);
    if (options.kind == CodeKind::kF32 || options.kind == CodeKind::kF16) continue;
    EXPECT_EQ(TrainCode(options, {}).status().code(), absl::StatusCode::kInvalidArgument) << name;
    const std::vector<float> ragged(31);
    EXPECT_EQ(TrainCode(options, ragged).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(TrainCode({CodeKind::kSq8, 0}, {}).ok());
  EXPECT_FALSE(TrainCode({CodeKind::kSq8, 65537}, {}).ok());
}

// How far each code may be off: root mean square of the error over that of the distances' own spread.
TEST(Code, EstimatesAreAsGoodAsTheirBits) {
  const std::vector<std::pair<const char*, double>> most = {
      {"f32", 1e-5},    {"f16", 2e-3},    {"sq8", 0.03},    {"sq4", 0.2},     {"sq4x8", 0.002}, {"pq25", 1.1},
      {"opq25", 1.1},   {"binary1", 1.2}, {"binary2", 0.7}, {"binary4", 0.3}, {"rabitq1", 1.0}, {"rabitq2", 0.5},
      {"rabitq4", 0.2}, {"rabitq8", 0.03}};
  for (Metric metric : kMetrics) {
    const std::vector<float> queries = RandomRows(10, 100, metric, 77);
    for (const auto& [name, limit] : most) {
      // Training takes seconds, and only l2 differs.
      if (metric == Metric::kDot && absl::StrContains(name, "pq")) continue;
      const EncodedRows set(Named(name, 100, metric), 500, 3);
      double error = 0, spread = 0;
      for (size_t q = 0; q < 10; ++q) {
        CodeQuery query;
        set.code->Prepare(queries.data() + q * 100, &query);
        const std::vector<float> estimates = set.Estimates(query);
        double mean = 0, squares = 0;
        for (size_t i = 0; i < 500; ++i) {
          const double exact = ExactDistance(queries.data() + q * 100, set.row(i), 100, metric);
          error += std::pow(estimates[i] - exact, 2);
          mean += exact / 500;
          squares += exact * exact / 500;
        }
        spread += 500 * (squares - mean * mean);
      }
      EXPECT_LT(std::sqrt(error / spread), limit) << name << ' ' << static_cast<int>(metric);
    }
  }
}

}  // namespace
}  // namespace larder::index
