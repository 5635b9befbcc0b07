#include "tools/bench/filter_cases.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace larder::tools {
namespace {

float SquaredDistance(const float* a, const float* b, size_t dimension) {
  float sum = 0;
  for (size_t i = 0; i < dimension; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// Which of the centres (rows) is nearest to a vector, or farthest from it.
size_t NearestCentre(const FilterVectors& vectors, const std::vector<size_t>& centres, const float* vector, bool farthest) {
  size_t best = 0;
  float best_distance = 0;
  for (size_t c = 0; c < centres.size(); ++c) {
    const float distance = SquaredDistance(vectors.row(centres[c]), vector, vectors.dimension);
    if (c > 0 && (farthest ? distance <= best_distance : distance >= best_distance)) continue;
    best = c;
    best_distance = distance;
  }
  return best;
}

}  // namespace

FilterData::FilterData(const FilterVectors& vectors, uint64_t seed) {
  DrawAttributes(vectors, seed);
  AddUniform(vectors.query_count(), seed + 1);
  AddClustered(vectors);
  AddWindows(vectors.query_count(), seed + 2);
}

void FilterData::DrawAttributes(const FilterVectors& vectors, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < 10; ++i) centres10_.push_back(random() % vectors.rows());
  for (size_t i = 0; i < 100; ++i) centres100_.push_back(random() % vectors.rows());
  attributes_.resize(vectors.rows());
  for (size_t i = 0; i < vectors.rows(); ++i) {
    Attributes& a = attributes_[i];
    a.half = random() % 2;
    a.other_half = random() % 2;
    a.tenth = random() % 10;
    a.other_tenth = random() % 10;
    a.hundredth = random() % 100;
    a.thousandth = random() % 1000;
    a.time = kFirstTime + static_cast<int64_t>(random() % kTimeSpan);
    a.cluster10 = NearestCentre(vectors, centres10_, vectors.row(i), false);
    a.cluster100 = NearestCentre(vectors, centres100_, vectors.row(i), false);
  }
}

Metadata FilterData::MetadataOf(size_t row) const {
  const Attributes& a = attributes_[row];
  Metadata metadata;
  metadata.emplace("half", MetadataValue(a.half));
  metadata.emplace("other_half", MetadataValue(a.other_half));
  metadata.emplace("tenth", MetadataValue(absl::StrCat("section/", a.tenth)));
  metadata.emplace("other_tenth", MetadataValue(int64_t{a.other_tenth}));
  metadata.emplace("hundredth", MetadataValue(int64_t{a.hundredth}));
  metadata.emplace("thousandth", MetadataValue(int64_t{a.thousandth}));
  metadata.emplace("cluster10", MetadataValue(int64_t{a.cluster10}));
  metadata.emplace("cluster100", MetadataValue(int64_t{a.cluster100}));
  metadata.emplace("time", MetadataValue(a.time));
  if (a.half) metadata.emplace("marked", MetadataValue(true));
  return metadata;
}

void FilterData::AddUniform(size_t queries, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto add = [&](const std::string& name, const std::function<AskedFilter(int, int)>& ask) {
    FilterCase c{name, {}, false};
    for (size_t q = 0; q < queries; ++q) {
      const int x = static_cast<int>(random() % 1000), y = static_cast<int>(random() % 1000);
      c.asked.push_back(ask(x, y));
    }
    cases_.push_back(std::move(c));
  };
  add("90%", [](int x, int) {
    return AskedFilter{absl::StrCat("tenth != \"section/", x % 10, "\""), [v = x % 10](const Attributes& a) { return a.tenth != v; }};
  });
  add("50%", [](int x, int) {
    return AskedFilter{absl::StrCat("half = ", x % 2 ? "true" : "false"), [v = x % 2 == 1](const Attributes& a) { return a.half == v; }};
  });
  add("exists 50%", [](int, int) { return AskedFilter{"exists(marked)", [](const Attributes& a) { return a.half; }}; });
  add("and 25%", [](int x, int y) {
    return AskedFilter{absl::StrCat("half = ", x % 2 ? "true" : "false", " and other_half = ", y % 2 ? "true" : "false"),
                       [v = x % 2 == 1, w = y % 2 == 1](const Attributes& a) { return a.half == v && a.other_half == w; }};
  });
  add("or 19%", [](int x, int y) {
    return AskedFilter{absl::StrCat("tenth = \"section/", x % 10, "\" or other_tenth = ", y % 10),
                       [v = x % 10, w = y % 10](const Attributes& a) { return a.tenth == v || a.other_tenth == w; }};
  });
  add("10%", [](int x, int) {
    return AskedFilter{absl::StrCat("other_tenth = ", x % 10), [v = x % 10](const Attributes& a) { return a.other_tenth == v; }};
  });
  add("prefix 10%", [](int x, int) {
    return AskedFilter{absl::StrCat("tenth prefix \"section/", x % 10, "\""), [v = x % 10](const Attributes& a) { return a.tenth == v; }};
  });
  add("and 5%", [](int x, int y) {
    return AskedFilter{absl::StrCat("half = ", x % 2 ? "true" : "false", " and tenth = \"section/", y % 10, "\""),
                       [v = x % 2 == 1, w = y % 10](const Attributes& a) { return a.half == v && a.tenth == w; }};
  });
  add("in 3%", [](int x, int) {
    const int v = x % 98;
    return AskedFilter{absl::StrCat("hundredth in (", v, ", ", v + 1, ", ", v + 2, ")"),
                       [v](const Attributes& a) { return a.hundredth >= v && a.hundredth < v + 3; }};
  });
  add("1%", [](int x, int) {
    return AskedFilter{absl::StrCat("hundredth = ", x % 100), [v = x % 100](const Attributes& a) { return a.hundredth == v; }};
  });
  add("and 1%", [](int x, int y) {
    return AskedFilter{absl::StrCat("tenth = \"section/", x % 10, "\" and other_tenth = ", y % 10),
                       [v = x % 10, w = y % 10](const Attributes& a) { return a.tenth == v && a.other_tenth == w; }};
  });
  add("or 0.2%", [](int x, int y) {
    return AskedFilter{absl::StrCat("thousandth = ", x, " or thousandth = ", y),
                       [x, y](const Attributes& a) { return a.thousandth == x || a.thousandth == y; }};
  });
  add("0.1%", [](int x, int) {
    return AskedFilter{absl::StrCat("thousandth = ", x), [x](const Attributes& a) { return a.thousandth == x; }};
  });
}

// Correlated: the query's own cluster. Anti-correlated: the one farthest from it.
void FilterData::AddClustered(const FilterVectors& vectors) {
  for (const bool ten : {true, false}) {
    for (const bool anti : {false, true}) {
      const std::vector<size_t>& centres = ten ? centres10_ : centres100_;
      FilterCase c{absl::StrCat(anti ? "anti-correlated " : "correlated ", ten ? "10%" : "1%"), {}, false};
      for (size_t q = 0; q < vectors.query_count(); ++q) {
        const size_t cluster = NearestCentre(vectors, centres, vectors.query(q), anti);
        c.asked.push_back({absl::StrCat(ten ? "cluster10 = " : "cluster100 = ", cluster), [=](const Attributes& a) {
                             return (ten ? a.cluster10 : a.cluster100) == cluster;
                           }});
      }
      cases_.push_back(std::move(c));
    }
  }
  FilterCase outside{"not own cluster", {}, false};
  for (size_t q = 0; q < vectors.query_count(); ++q) {
    const size_t cluster = NearestCentre(vectors, centres10_, vectors.query(q), false);
    outside.asked.push_back(
        {absl::StrCat("not cluster10 = ", cluster), [=](const Attributes& a) { return a.cluster10 != cluster; }});
  }
  cases_.push_back(std::move(outside));
}

void FilterData::AddWindows(size_t queries, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const int percent : {1, 2, 5, 10, 20, 50}) {
    FilterCase c{absl::StrCat("window ", percent, "%"), {}, true};
    for (size_t q = 0; q < queries; ++q) {
      const int64_t width = kTimeSpan / 100 * percent;
      const int64_t begin = kFirstTime + static_cast<int64_t>(random() % static_cast<uint64_t>(kTimeSpan - width));
      c.asked.push_back({absl::StrCat("time >= ", begin, " and time < ", begin + width),
                         [=](const Attributes& a) { return a.time >= begin && a.time < begin + width; }});
    }
    cases_.push_back(std::move(c));
  }
}

}  // namespace larder::tools
