#include "index/recall/calibration.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint32_t kGrid[] = {10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};

// Noise, in units of the way to a row's tenth neighbour. As hard as queries that are no rows is 0.7 on
// clustered normal data and 0.5 on GloVe.
constexpr double kMoved = 0.7;
constexpr uint32_t kMovedPast = 10;  // neighbours

struct HeldQuery {
  std::vector<float> vector;
  std::optional<Vid> self;      // the row it was made from
  std::vector<Neighbor> exact;  // without that
};

// Distinct live rows in random order, so that any first part of them is a fair sample too.
std::vector<Vid> DrawRows(const VectorIndex& index, uint32_t count, uint64_t seed) {
  const VidSet live = index.LiveVids();
  std::mt19937_64 random(seed);
  std::vector<uint64_t> ranks;
  if (live.size() <= count) {
    for (uint64_t i = 0; i < live.size(); ++i) ranks.push_back(i);
  }
  while (ranks.size() < std::min<uint64_t>(count, live.size())) {
    while (ranks.size() < count) ranks.push_back(random() % live.size());
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  }
  std::vector<Vid> rows;
  uint64_t rank = 0;
  live.ForEach([&](Vid vid) {
    if (rank++ == ranks[rows.size()]) rows.push_back(vid);
    return rows.size() < ranks.size();
  });
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random() % i]);
  return rows;
}

// At most k, without the query's own row.
std::vector<Neighbor> Without(std::optional<Vid> self, std::vector<Neighbor> found, uint32_t k) {
  found.erase(std::remove_if(found.begin(), found.end(), [&](const Neighbor& n) { return self == n.vid; }),
              found.end());
  if (found.size() > k) found.resize(k);
  return found;
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (static_cast<double>(a[i]) - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

// A row moved by noise. Under dot product the best rows are long, not near: there the nearest of them counts.
absl::StatusOr<std::vector<float>> MovedRow(const VectorIndex& index, Vid vid, uint64_t seed) {
  ASSIGN_OR_RETURN(const std::vector<float> row, index.Vector(vid));
  ASSIGN_OR_RETURN(const std::vector<Neighbor> near, index.Search(row, {.k = kMovedPast + 1, .ef = 64}));
  std::vector<double> ways;
  for (const Neighbor& neighbor : near) {
    if (neighbor.vid == vid) continue;
    const auto other = index.Vector(neighbor.vid);
    if (other.ok()) ways.push_back(Distance(row, *other));
  }
  if (ways.empty()) return row;
  const bool dot = index.options().metric == Metric::kDot;
  const double way = dot ? *std::min_element(ways.begin(), ways.end()) : ways.back();
  std::mt19937_64 random(seed ^ vid);
  std::normal_distribution<double> noise(0, kMoved * way / std::sqrt(static_cast<double>(row.size())));
  std::vector<float> moved = row;
  if (way > 0) for (float& x : moved) x = static_cast<float>(x + noise(random));
  return CheckVector(moved, index.options().dimension, index.options().metric).ok() ? moved : row;
}

class Run {
 public:
  Run(const VectorIndex& index, const CalibrationOptions& options, const std::function<bool()>& stop)
      : index_(index), options_(options), stop_(stop) {
    for (const auto& query : options.asked) {
      if (drawn_.size() < options.queries) drawn_.push_back({query, std::nullopt, {}});
    }
    if (!drawn_.empty()) return;
    for (Vid vid : DrawRows(index, options.queries, options.seed)) {
      auto query = MovedRow(index, vid, options.seed);
      if (query.ok()) drawn_.push_back({*std::move(query), vid, {}});  // else removed since it was drawn
    }
  }

  absl::Status FindExact() {
    const int64_t start = options_.clock();
    const ExactScan scan(index_);
    const uint32_t k = options_.ks.back();
    if (scan.rows() < 2ull * k) {
      return absl::FailedPreconditionError(
          absl::StrCat("calibration: expected at least ", 2ull * k, " rows, found ", scan.rows()));
    }
    for (HeldQuery& query : drawn_) {
      const int64_t spent = options_.clock() - start;
      if (queries_.size() >= options_.least_queries && spent > absl::ToInt64Nanoseconds(options_.exact_budget)) break;
      const uint32_t extra = query.self ? 1 : 0;
      ASSIGN_OR_RETURN(std::vector<Neighbor> exact, scan.Nearest(query.vector, k + extra, stop_));
      query.exact = Without(query.self, std::move(exact), k);
      queries_.push_back(std::move(query));
    }
    if (queries_.empty()) return absl::FailedPreconditionError("calibration: every row drawn was removed meanwhile");
    scan_ns_ = (options_.clock() - start) / static_cast<int64_t>(queries_.size());
    return absl::OkStatus();
  }

  absl::StatusOr<RecallTable> Walk() {
    const int64_t start = options_.clock();
    std::vector<RecallCurve> curves;
    for (uint32_t k : options_.ks) {
      RecallCurve& curve = curves.emplace_back();
      curve.k = k;
      for (uint32_t ef : Grid(k)) {
        ASSIGN_OR_RETURN(const RecallPoint point, Measure(k, ef));
        curve.points.push_back(point);
        const int64_t spent = options_.clock() - start;
        if (point.recall >= options_.enough || spent > absl::ToInt64Nanoseconds(options_.search_budget)) break;
      }
    }
    return RecallTable(std::move(curves), static_cast<uint32_t>(queries_.size()));
  }

  int64_t scan_ns() const { return scan_ns_; }

 private:
  static std::vector<uint32_t> Grid(uint32_t k) {
    std::vector<uint32_t> grid = {k};
    for (uint32_t ef : kGrid) {
      if (ef > k) grid.push_back(ef);
    }
    return grid;
  }

  absl::StatusOr<RecallPoint> Measure(uint32_t k, uint32_t ef) const {
    double sum = 0, squares = 0;
    for (const HeldQuery& query : queries_) {
      if (stop_ && stop_()) return absl::CancelledError("calibration: stopped");
      const uint32_t extra = query.self ? 1 : 0;  // a place for itself
      ASSIGN_OR_RETURN(std::vector<Neighbor> found, index_.Search(query.vector, {.k = k + extra, .ef = ef + extra}));
      const auto exact = absl::MakeSpan(query.exact).first(std::min<size_t>(k, query.exact.size()));
      const double recall = RecallOf(Without(query.self, std::move(found), k), exact);
      sum += recall;
      squares += recall * recall;
    }
    const double n = static_cast<double>(queries_.size()), mean = sum / n;
    // No misses among n * k answers does not mean none ever: never surer than one of them.
    const double variance = std::max(0.0, squares / n - mean * mean) / n, one = 1 / (n * k);
    return RecallPoint{ef, mean, std::sqrt(variance + one * one)};
  }

  const VectorIndex& index_;
  const CalibrationOptions& options_;
  const std::function<bool()>& stop_;
  std::vector<HeldQuery> drawn_, queries_;  // all; those with an exact answer
  int64_t scan_ns_ = 0;
};

}  // namespace

absl::StatusOr<Calibration> Calibrate(const VectorIndex& index, const CalibrationOptions& options,
                                      const std::function<bool()>& stop) {
  Run run(index, options, stop);
  RETURN_IF_ERROR(run.FindExact());
  ASSIGN_OR_RETURN(RecallTable table, run.Walk());
  return Calibration{std::move(table), run.scan_ns()};
}

}  // namespace larder::index
