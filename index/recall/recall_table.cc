#include "index/recall/recall_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// Below its first point a curve goes on with the slope of its first segment, this far.
constexpr double kExtrapolate = 8;

// Pool adjacent violators: the nearest curve that never falls.
void MakeMonotone(std::vector<RecallPoint>* points) {
  struct Block {
    double sum;
    size_t count;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::vector<Block> blocks;
  for (const RecallPoint& point : *points) {
    blocks.push_back({point.recall, 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() > blocks.back().mean()) {
      blocks[blocks.size() - 2].sum += blocks.back().sum;
      blocks[blocks.size() - 2].count += blocks.back().count;
      blocks.pop_back();
    }
  }
  size_t i = 0;
  for (const Block& block : blocks) {
    for (size_t j = 0; j < block.count; ++j) (*points)[i++].recall = block.mean();
  }
}

// (log ef, value) by ascending ef, values never falling.
using Line = std::vector<std::pair<double, double>>;

Line LineOf(const RecallCurve& curve, double margins) {
  Line line;
  for (const RecallPoint& point : curve.points) {
    double value = point.recall - margins * point.standard_error;
    if (!line.empty()) value = std::max(value, line.back().second);
    line.emplace_back(std::log(static_cast<double>(point.ef)), value);
  }
  return line;
}

// The log(ef) at which the line first has `value`; +inf if it never does.
double Inverse(const Line& line, double value) {
  if (value <= line[0].second) {
    double slope = 0;
    for (size_t i = 1; i < line.size() && slope == 0; ++i) {
      slope = (line[i].second - line[0].second) / (line[i].first - line[0].first);
    }
    const double down = slope > 0 ? (line[0].second - value) / slope : 0;
    return line[0].first - std::min(down, std::log(kExtrapolate));
  }
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i].second < value) continue;
    const auto& [x0, y0] = line[i - 1];
    const auto& [x1, y1] = line[i];
    return x0 + (x1 - x0) * (value - y0) / (y1 - y0);
  }
  return INFINITY;
}

RecallPoint PointAt(const RecallCurve& curve, double ef) {
  const std::vector<RecallPoint>& points = curve.points;
  RecallPoint out = points.back();
  if (points.size() > 1 && ef < points.back().ef) {
    size_t i = 1;
    while (points[i].ef < ef) ++i;
    const RecallPoint &a = points[i - 1], &b = points[i];
    const double share = std::log(ef / a.ef) / std::log(static_cast<double>(b.ef) / a.ef);  // < 0 before the first
    out.recall = std::clamp(a.recall + share * (b.recall - a.recall), 0.0, 1.0);
    out.standard_error = std::lerp(a.standard_error, b.standard_error, std::clamp(share, 0.0, 1.0));
  }
  out.ef = static_cast<uint32_t>(std::lround(ef));
  return out;
}

double EfOn(const RecallCurve& curve, double recall, double margins) {
  const double log_ef = Inverse(LineOf(curve, margins), recall);
  return std::isfinite(log_ef) ? std::exp(log_ef) : 2.0 * curve.points.back().ef;
}

// Between which curves k lies, and where between.
struct Place {
  size_t low, high;
  double share;
  double scale;  // of ef, beyond the last
};

Place PlaceOf(const std::vector<RecallCurve>& curves, uint32_t k) {
  if (k <= curves.front().k) return {0, 0, 0, 1};
  const size_t last = curves.size() - 1;
  if (k >= curves[last].k) return {last, last, 0, static_cast<double>(k) / curves[last].k};
  size_t high = 1;
  while (curves[high].k < k) ++high;
  const double low_k = curves[high - 1].k;
  return {high - 1, high, std::log(k / low_k) / std::log(curves[high].k / low_k), 1};
}

double EfIn(const std::vector<RecallCurve>& curves, double recall, uint32_t k, double margins) {
  const Place place = PlaceOf(curves, k);
  const double low = EfOn(curves[place.low], recall, margins);
  if (place.low == place.high) return low * place.scale;
  return std::exp(std::lerp(std::log(low), std::log(EfOn(curves[place.high], recall, margins)), place.share));
}

}  // namespace

RecallTable::RecallTable(std::vector<RecallCurve> curves, uint32_t queries)
    : curves_(std::move(curves)), queries_(queries) {
  for (RecallCurve& curve : curves_) MakeMonotone(&curve.points);
}

size_t RecallTable::size() const {
  size_t points = 0;
  for (const RecallCurve& curve : curves_) points += curve.points.size();
  return points;
}

uint32_t RecallTable::EfFor(double target, uint32_t k) const {
  const double ef = std::ceil(EfIn(curves_, target, k, 1) - 1e-9);
  return std::max(k, static_cast<uint32_t>(std::clamp<double>(ef, 1, kMaxEf)));
}

double RecallTable::EfOf(double recall, uint32_t k) const { return EfIn(curves_, recall, k, 0); }

RecallPoint RecallTable::At(double ef, uint32_t k) const {
  const Place place = PlaceOf(curves_, k);
  if (place.low == place.high) {
    RecallPoint point = PointAt(curves_[place.low], ef / place.scale);
    point.ef = static_cast<uint32_t>(std::lround(ef));
    return point;
  }
  double low = 0, high = std::max(PointAt(curves_[place.low], ef).recall, PointAt(curves_[place.high], ef).recall);
  for (int i = 0; i < 20; ++i) {  // to a millionth
    const double middle = (low + high) / 2;
    (EfOf(middle, k) <= ef ? low : high) = middle;
  }
  RecallPoint point = PointAt(curves_[place.high], ef);  // the larger k's error is no smaller in ef
  point.standard_error = std::max(point.standard_error, PointAt(curves_[place.low], ef).standard_error);
  point.recall = low;
  return point;
}

std::string RecallTable::Serialize() const {
  storage::RecordWriter out(1);
  out.Varint(queries_);
  out.Varint(curves_.size());
  for (const RecallCurve& curve : curves_) {
    out.Varint(curve.k);
    out.Varint(curve.points.size());
    for (const RecallPoint& point : curve.points) {
      out.Varint(point.ef);
      out.Double(point.recall);
      out.Double(point.standard_error);
    }
  }
  return std::move(out).Finish();
}

namespace {

bool IsShare(double value) { return value >= 0 && value <= 1; }

bool IsCurve(const RecallCurve& curve) {
  uint32_t last = 0;
  for (const RecallPoint& point : curve.points) {
    if (point.ef <= last || point.ef > kMaxEf || !IsShare(point.recall) || !IsShare(point.standard_error)) return false;
    last = point.ef;
  }
  return !curve.points.empty();
}

}  // namespace

absl::StatusOr<RecallTable> RecallTable::Deserialize(absl::string_view bytes) {
  storage::RecordReader in(bytes, 1, "recall table");
  const uint64_t queries = in.Varint(), count = in.Varint();
  std::vector<RecallCurve> curves;
  for (uint64_t i = 0; i < count && in.status().ok(); ++i) {
    RecallCurve curve;
    curve.k = static_cast<uint32_t>(in.Varint());
    const uint64_t points = in.Varint();
    for (uint64_t p = 0; p < points && in.status().ok(); ++p) {
      RecallPoint& point = curve.points.emplace_back();
      point.ef = static_cast<uint32_t>(in.Varint());
      point.recall = in.Double();
      point.standard_error = in.Double();
    }
    if (in.status().ok() && (!IsCurve(curve) || (i == 0 ? curve.k == 0 : curve.k <= curves.back().k))) {
      return absl::DataLossError(absl::StrCat("recall table: curve ", i, " is out of order or of range"));
    }
    curves.push_back(std::move(curve));
  }
  RETURN_IF_ERROR(in.status());
  if (!in.AtEnd()) return absl::DataLossError("recall table: bytes after its end");
  return RecallTable(std::move(curves), static_cast<uint32_t>(queries));
}

}  // namespace larder::index
