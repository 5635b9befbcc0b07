#include "index/codes/pq_code.h"

#include <limits>
#include <utility>

#include "index/codes/code_format.h"
#include "index/codes/quantize.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kCentroids = 256;
constexpr size_t kLeastRows = 256;

// Of one piece from all 256 centroids of its part: minus the dot product, or the squared distance.
void PartDistances(const float* piece, const float* centroids, size_t n, bool l2, float* out) {
  for (size_t c = 0; c < kCentroids; ++c) out[c] = 0;
  for (size_t i = 0; i < n; ++i) {
    const float* column = centroids + i * kCentroids;
    const float value = piece[i];
    if (l2) {
      for (size_t c = 0; c < kCentroids; ++c) out[c] += (value - column[c]) * (value - column[c]);
    } else {
      for (size_t c = 0; c < kCentroids; ++c) out[c] -= value * column[c];
    }
  }
}

}  // namespace

PqCode::PqCode(const CodeOptions& options, PqCodebook book)
    : options_(options), book_(std::move(book)), part_dimension_(PqPartDimension(options)) {}

std::vector<float> PqCode::Enter(const float* vector) const {
  const size_t n = options_.dimension;
  std::vector<float> out(part_dimension_ * options_.parts);
  for (size_t i = 0; i < n; ++i) {
    out[i] = book_.rotation.empty()
                 ? vector[i]
                 : static_cast<float>(DotProduct(book_.rotation.data() + i * n, vector, n));
  }
  return out;
}

void PqCode::Encode(const float* vector, uint8_t* code) const {
  const std::vector<float> x = Enter(vector);
  float distances[kCentroids];
  for (size_t part = 0; part < options_.parts; ++part) {
    const size_t at = part * part_dimension_;
    PartDistances(&x[at], &book_.centroids[at * kCentroids], part_dimension_, true, distances);
    size_t best = 0;
    for (size_t c = 1; c < kCentroids; ++c) best = distances[c] < distances[best] ? c : best;
    code[part] = static_cast<uint8_t>(best);
  }
}

void PqCode::Decode(const uint8_t* code, float* vector) const {
  const size_t n = options_.dimension;
  std::vector<float> x(part_dimension_ * options_.parts);
  for (size_t i = 0; i < x.size(); ++i) x[i] = book_.centroids[i * kCentroids + code[i / part_dimension_]];
  for (size_t i = 0; i < n; ++i) vector[i] = book_.rotation.empty() ? x[i] : 0;
  if (book_.rotation.empty()) return;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) vector[j] += book_.rotation[i * n + j] * x[i];
  }
}

void PqCode::Prepare(const float* query, CodeQuery* prepared) const {
  const std::vector<float> q = Enter(query);
  prepared->floats.resize(options_.parts * kCentroids);
  for (size_t part = 0; part < options_.parts; ++part) {
    const size_t at = part * part_dimension_;
    PartDistances(&q[at], &book_.centroids[at * kCentroids], part_dimension_, options_.metric == Metric::kL2,
                  &prepared->floats[part * kCentroids]);
  }
  prepared->scalars[0] = options_.metric == Metric::kCosine ? 1 : 0;
}

void PqCode::Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const {
  const size_t parts = options_.parts;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* code = codes[i];
    const float* table = query.floats.data();
    float a = query.scalars[0], b = 0, c = 0, d = 0;
    size_t part = 0;
    for (; part + 4 <= parts; part += 4, table += 4 * kCentroids) {
      a += table[code[part]];
      b += table[kCentroids + code[part + 1]];
      c += table[2 * kCentroids + code[part + 2]];
      d += table[3 * kCentroids + code[part + 3]];
    }
    for (; part < parts; ++part, table += kCentroids) b += table[code[part]];
    out[i] = (a + b) + (c + d);
  }
}

float PqCode::ErrorBound(const CodeQuery&, const uint8_t*) const { return std::numeric_limits<float>::infinity(); }

std::string PqCode::Serialize() const {
  storage::RecordWriter writer = BeginCode(options_);
  AppendFloats(book_.rotation, &writer);
  AppendFloats(book_.centroids, &writer);
  return std::move(writer).Finish();
}

CodeOr TrainPqCode(const CodeOptions& options, absl::Span<const float> sample) {
  RETURN_IF_ERROR(CheckSample(options, sample, kLeastRows));
  if (TrainPqCodebook == nullptr) {
    return absl::FailedPreconditionError("training pq and opq: this program is linked without FAISS");
  }
  ASSIGN_OR_RETURN(PqCodebook book, TrainPqCodebook(options, sample));
  return std::make_unique<PqCode>(options, std::move(book));
}

CodeOr ParsePqCode(const CodeOptions& options, storage::RecordReader* reader) {
  const size_t n = options.dimension;
  PqCodebook book;
  RETURN_IF_ERROR(ReadFloats(reader, options.kind == CodeKind::kOpq ? n * n : 0, &book.rotation));
  RETURN_IF_ERROR(ReadFloats(reader, PqPartDimension(options) * options.parts * kCentroids, &book.centroids));
  return std::make_unique<PqCode>(options, std::move(book));
}

}  // namespace larder::index
