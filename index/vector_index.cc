#include "index/vector_index.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "index/flat_index.h"
#include "index/hnsw/hnsw_index.h"
#include "index/snapshot.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint32_t kMaxDimension = 65536;

absl::Status CheckRange(absl::string_view what, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("index options: ", what, ": expected ", low, " to ", high, ", found ", value));
}

}  // namespace

absl::Status IndexOptions::Validate() const {
  if (kind != Kind::kFlat && kind != Kind::kHnsw) {
    return absl::InvalidArgumentError(absl::StrCat("index options: unknown kind ", static_cast<int>(kind)));
  }
  RETURN_IF_ERROR(CheckRange("metric", static_cast<uint64_t>(metric), 0, 2));
  RETURN_IF_ERROR(CheckRange("dimension", dimension, 1, kMaxDimension));
  RETURN_IF_ERROR(CheckRange("prefix (less than the dimension)", prefix, 0, dimension - 1));
  if (kind == Kind::kFlat) return absl::OkStatus();
  RETURN_IF_ERROR(CheckRange("m", m, 2, 256));
  RETURN_IF_ERROR(CheckRange("code", static_cast<uint64_t>(code), 0, 2));
  return CheckRange("ef_construction (at least m)", ef_construction, m, 10000);
}

absl::Status CheckVector(absl::Span<const float> vector, uint32_t dimension, Metric metric) {
  if (vector.size() != dimension) {
    return absl::InvalidArgumentError(
        absl::StrCat("vector: expected ", dimension, " dimensions, found ", vector.size()));
  }
  const double squared_norm = SquaredNorm(vector);
  for (size_t i = 0; !std::isfinite(squared_norm) && i < vector.size(); ++i) {
    if (std::isfinite(vector[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("vector: element ", i, ": expected a finite number, found ", vector[i]));
  }
  if (squared_norm > kMaxSquaredNorm) {
    return absl::InvalidArgumentError(absl::StrCat("vector: its norm ", std::sqrt(squared_norm),
                                                   " overflows float distances; expected at most ",
                                                   std::sqrt(kMaxSquaredNorm)));
  }
  if (metric == Metric::kCosine && squared_norm == 0) {
    return absl::InvalidArgumentError("vector: all elements are zero, which has no cosine");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<VectorIndex>> CreateIndex(const IndexOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  if (options.kind == Kind::kFlat) return std::make_unique<FlatIndex>(options);
  return std::make_unique<HnswIndex>(options);
}

absl::StatusOr<LoadedIndex> LoadIndex(const std::string& path, const IndexOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(SnapshotReader reader, SnapshotReader::Open(path));
  RETURN_IF_ERROR(CheckSameOptions(options, reader.header().options));
  LoadedIndex loaded;
  ASSIGN_OR_RETURN(loaded.tag, reader.ReadTag());
  ASSIGN_OR_RETURN(loaded.index,
                   options.kind == Kind::kFlat ? FlatIndex::Load(&reader) : HnswIndex::Load(&reader));
  return loaded;
}

}  // namespace larder::index
