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

void Canonicalize(absl::Span<const float> vector, Metric metric, float* out) {
  double scale = 1;
  if (metric == Metric::kCosine) {
    double squared_norm = 0;
    for (float x : vector) squared_norm += static_cast<double>(x) * x;
    scale = 1 / std::sqrt(squared_norm);
  }
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
