// Rows with attributes drawn by a seed, and filters over them of every kind that users ask about.
#ifndef LARDER_TOOLS_BENCH_FILTER_CASES_H_
#define LARDER_TOOLS_BENCH_FILTER_CASES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "larder/types.h"

namespace larder::tools {

// Vectors in memory, of length one under cosine.
struct FilterVectors {
  size_t dimension = 0;
  std::vector<float> base, queries;  // row-major
  size_t rows() const { return base.size() / dimension; }
  size_t query_count() const { return queries.size() / dimension; }
  const float* row(size_t i) const { return base.data() + i * dimension; }
  const float* query(size_t q) const { return queries.data() + q * dimension; }
};

struct Attributes {
  bool half = false, other_half = false;        // 50 %
  uint8_t tenth = 0, other_tenth = 0;           // 10 % each value
  uint8_t hundredth = 0;                        // 1 %
  uint16_t thousandth = 0;                      // 0.1 %
  uint8_t cluster10 = 0, cluster100 = 0;        // the nearest of so many rows: follows the vector
  int64_t time = 0;                             // uniform over three years, in seconds
};

inline constexpr int64_t kFirstTime = 1'600'000'000, kTimeSpan = 100'000'000;

// What one query asks for: as the engine reads it, and as a function that says the truth.
struct AskedFilter {
  std::string expression;
  std::function<bool(const Attributes&)> matches;
};

struct FilterCase {
  std::string name;
  std::vector<AskedFilter> asked;  // by query; values differ from query to query
  bool window = false;             // of time
};

class FilterData {
 public:
  FilterData(const FilterVectors& vectors, uint64_t seed);
  const std::vector<Attributes>& attributes() const { return attributes_; }
  Metadata MetadataOf(size_t row) const;
  const std::vector<FilterCase>& cases() const { return cases_; }

 private:
  void DrawAttributes(const FilterVectors& vectors, uint64_t seed);
  void AddUniform(size_t queries, uint64_t seed);
  void AddClustered(const FilterVectors& vectors);
  void AddWindows(size_t queries, uint64_t seed);

  std::vector<Attributes> attributes_;
  std::vector<size_t> centres10_, centres100_;
  std::vector<FilterCase> cases_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_FILTER_CASES_H_
