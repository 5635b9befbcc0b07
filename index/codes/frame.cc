#include "index/codes/frame.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "index/codes/code_format.h"
#include "index/codes/quantize.h"
#include "storage/status_macros.h"

namespace larder::index {
Frame::Frame(const CodeOptions& options, std::vector<float> centre)
    : metric_(options.metric), centre_(std::move(centre)), rotation_(options.dimension, options.seed) {}

absl::StatusOr<std::unique_ptr<Frame>> Frame::Train(const CodeOptions& options, absl::Span<const float> sample) {
  RETURN_IF_ERROR(CheckSample(options, sample, 1));
  const size_t n = options.dimension, rows = sample.size() / n;
  std::vector<double> sums(n);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < n; ++i) sums[i] += sample[row * n + i];
  }
  std::vector<float> centre(n);
  for (size_t i = 0; i < n; ++i) centre[i] = static_cast<float>(sums[i] / static_cast<double>(rows));
  return std::unique_ptr<Frame>(new Frame(options, std::move(centre)));
}

absl::StatusOr<std::unique_ptr<Frame>> Frame::Parse(const CodeOptions& options, storage::RecordReader* reader) {
  std::vector<float> centre;
  RETURN_IF_ERROR(ReadFloats(reader, options.dimension, &centre));
  // A mean of vectors is no longer than they may be.
  if (const absl::Status sound = CheckVector(centre, options.dimension, Metric::kDot); !sound.ok()) {
    return absl::DataLossError(absl::StrCat("code: centre: ", sound.message()));
  }
  return std::unique_ptr<Frame>(new Frame(options, std::move(centre)));
}

void Frame::Append(storage::RecordWriter* writer) const { AppendFloats(centre_, writer); }

void Frame::Enter(const float* vector, float* o) const {
  for (size_t i = 0; i < centre_.size(); ++i) o[i] = vector[i] - centre_[i];
  rotation_.Apply(o, o);
}

void Frame::Leave(const float* o, float* vector) const {
  rotation_.Invert(o, vector);
  for (size_t i = 0; i < centre_.size(); ++i) vector[i] += centre_[i];
}

std::vector<float> Frame::RotatedCentre() const {
  std::vector<float> rotated(centre_.size());
  rotation_.Apply(centre_.data(), rotated.data());
  return rotated;
}

Frame::Query Frame::Prepare(const float* query, float* rotated) const {
  const size_t n = centre_.size();
  if (metric_ == Metric::kL2) {
    Enter(query, rotated);
    return {static_cast<float>(DotProduct(rotated, rotated, n)), -2};
  }
  const double dot = DotProduct(query, centre_.data(), n);
  rotation_.Apply(query, rotated);
  return {static_cast<float>((metric_ == Metric::kCosine ? 1 : 0) - dot), -1};
}

}  // namespace larder::index
