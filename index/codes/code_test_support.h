// Shared by the tests of codes: vectors, exact distances, what each code's estimates are held against.
#ifndef LARDER_INDEX_CODES_CODE_TEST_SUPPORT_H_
#define LARDER_INDEX_CODES_CODE_TEST_SUPPORT_H_

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "index/codes/code.h"

namespace larder::index {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kL2};

// Rows off the origin; of length one under cosine.
inline std::vector<float> RandomRows(size_t rows, size_t dimension, Metric metric, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * dimension);
  for (size_t i = 0; i < values.size(); ++i) values[i] = normal(random) + 0.5f * static_cast<float>(i % dimension % 3);
  if (metric != Metric::kCosine) return values;
  for (size_t row = 0; row < rows; ++row) {
    double norm = 1e-30;
    for (size_t i = 0; i < dimension; ++i) norm += std::pow(values[row * dimension + i], 2.0);
    for (size_t i = 0; i < dimension; ++i) values[row * dimension + i] /= static_cast<float>(std::sqrt(norm));
  }
  return values;
}

inline double ExactDistance(const float* a, const float* b, size_t n, Metric metric) {
  double dot = 0, l2 = 0;
  for (size_t i = 0; i < n; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    l2 += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return metric == Metric::kL2 ? l2 : metric == Metric::kDot ? -dot : 1 - dot;
}

// A trained code and encoded rows, each between bytes that must not count.
struct EncodedRows {
  EncodedRows(const CodeOptions& options, size_t count, uint32_t seed)
      : rows(RandomRows(count, options.dimension, options.metric, seed)) {
    auto trained = TrainCode(options, rows);
    EXPECT_TRUE(trained.ok()) << trained.status();
    code = *std::move(trained);
    for (size_t i = 0; i < count; ++i) {
      codes.emplace_back(code->bytes());  // exactly, so that a sanitizer sees a step outside
      code->Encode(rows.data() + i * options.dimension, codes.back().data());
    }
    for (const auto& bytes : codes) pointers.push_back(bytes.data());
  }
  const float* row(size_t i) const { return rows.data() + i * code->options().dimension; }
  std::vector<float> Estimates(const CodeQuery& query) const {
    std::vector<float> out(pointers.size());
    code->Estimate(query, pointers.data(), pointers.size(), out.data());
    return out;
  }

  std::vector<float> rows;
  std::unique_ptr<Code> code;
  std::vector<std::vector<uint8_t>> codes;
  std::vector<const uint8_t*> pointers;
};

// 1..130, around multiples of 64 up to 1,100, and 4,096.
inline std::vector<uint32_t> CodeDimensions() {
  std::vector<uint32_t> dimensions;
  for (uint32_t n = 1; n <= 130; ++n) dimensions.push_back(n);
  for (uint32_t n = 192; n <= 1100; n += 64) {
    for (uint32_t near : {n - 1, n, n + 1}) dimensions.push_back(near);
  }
  dimensions.push_back(4096);
  return dimensions;
}

// FNV-1a, for golden values of long bytes.
inline uint64_t Fingerprint(const void* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3;
  return hash;
}

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_CODE_TEST_SUPPORT_H_
