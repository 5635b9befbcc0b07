// What every index does to a vector before it stores it or searches with it.
#ifndef LARDER_INDEX_VECTOR_MATH_H_
#define LARDER_INDEX_VECTOR_MATH_H_

#include <limits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/kernels/distance.h"
#include "index/vector_index.h"

namespace larder::index {

// Twice any two such vectors' distance is finite in float, under every metric.
inline constexpr double kMaxSquaredNorm = std::numeric_limits<float>::max() / 8.0;

DistanceForm FormOf(Metric metric);

// In eight sums, which is as fast as loading; not finite if an element is not.
double SquaredNorm(absl::Span<const float> vector);

// `out` (as long as `vector`, may be the same) = what the index holds of a checked vector: of length
// one under cosine (norm accumulated in double), the same otherwise.
void Canonicalize(absl::Span<const float> vector, Metric metric, float* out);

// Checks a query (CheckVector) and canonicalizes it.
absl::StatusOr<std::vector<float>> PrepareQuery(absl::Span<const float> query, const IndexOptions& options);

// Sizes of an Add call.
absl::Status CheckAdd(absl::Span<const Vid> vids, absl::Span<const float> vectors, uint32_t dimension);

}  // namespace larder::index

#endif  // LARDER_INDEX_VECTOR_MATH_H_
