#include "index/vector_math.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::index {

DistanceForm FormOf(Metric metric) {
  if (metric == Metric::kCosine) return DistanceForm::kOneMinusDot;
  return metric == Metric::kDot ? DistanceForm::kMinusDot : DistanceForm::kSquaredL2;
}

double SquaredNorm(absl::Span<const float> vector) {
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= vector.size(); i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) {
      sums[lane] += static_cast<double>(vector[i + lane]) * vector[i + lane];
    }
  }
  for (; i < vector.size(); ++i) sums[i % 8] += static_cast<double>(vector[i]) * vector[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void Canonicalize(absl::Span<const float> vector, Metric metric, float* out) {
  const double scale = metric == Metric::kCosine ? 1 / std::sqrt(SquaredNorm(vector)) : 1;
  std::transform(vector.begin(), vector.end(), out,
                 [scale](float x) { return static_cast<float>(x * scale); });
}

absl::StatusOr<std::vector<float>> PrepareQuery(absl::Span<const float> query, const IndexOptions& options) {
  RETURN_IF_ERROR(CheckVector(query, options.dimension, options.metric));
  std::vector<float> prepared(query.size());
  Canonicalize(query, options.metric, prepared.data());
  return prepared;
}

absl::Status CheckAdd(absl::Span<const Vid> vids, absl::Span<const float> vectors, uint32_t dimension) {
  if (vectors.size() == vids.size() * dimension) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("add: expected ", vids.size(), " rows of ", dimension,
                                                 " floats, found ", vectors.size(), " floats"));
}

}  // namespace larder::index
