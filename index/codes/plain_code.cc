#include "index/codes/plain_code.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "index/codes/code_format.h"
#include "index/vector_math.h"

namespace larder::index {

PlainCode::PlainCode(const CodeOptions& options)
    : options_(options), kernels_(SelectKernels(FormOf(options.metric))),
      half_(SelectHalfKernel(FormOf(options.metric))) {}

void PlainCode::Encode(const float* vector, uint8_t* code) const {
  if (!halves()) {
    std::memcpy(code, vector, bytes());
    return;
  }
  for (size_t i = 0; i < options_.dimension; ++i) {
    const uint16_t half = HalfFromFloat(vector[i]);
    std::memcpy(code + 2 * i, &half, sizeof(half));
  }
}

void PlainCode::Decode(const uint8_t* code, float* vector) const {
  if (!halves()) {
    std::memcpy(vector, code, bytes());
    return;
  }
  for (size_t i = 0; i < options_.dimension; ++i) {
    uint16_t half;
    std::memcpy(&half, code + 2 * i, sizeof(half));
    vector[i] = FloatFromHalf(half);
  }
}

void PlainCode::Prepare(const float* query, CodeQuery* prepared) const {
  prepared->floats.assign(query, query + options_.dimension);
  double norm = 0;
  for (float value : prepared->floats) norm += static_cast<double>(value) * value;
  prepared->scalars[0] = static_cast<float>(std::sqrt(norm));
}

void PlainCode::Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const {
  if (halves()) return half_(query.floats.data(), codes, count, options_.dimension, out);
  // The kernel loads without alignment.
  kernels_.batch(query.floats.data(), reinterpret_cast<const float* const*>(codes), count, options_.dimension, out);
}

float PlainCode::ErrorBound(const CodeQuery& query, const uint8_t* code) const {
  // Half a unit of the last of 11 bits, or of 2^-24 below the normal numbers; then the sums in f32.
  const size_t n = options_.dimension;
  const float* q = query.floats.data();
  double size = 0, bound = 0;
  for (size_t i = 0; i < n; ++i) {
    float x;
    if (halves()) {
      uint16_t half;
      std::memcpy(&half, code + 2 * i, sizeof(half));
      x = FloatFromHalf(half);
    } else {
      std::memcpy(&x, code + 4 * i, sizeof(x));
    }
    const double error = halves() ? std::abs(x) * 0x1.01p-11 + 0x1p-25 : 0;
    const double factor = options_.metric == Metric::kL2 ? 2 * std::abs(q[i] - x) + error : std::abs(q[i]);
    bound += factor * error;
    size += std::abs(q[i] * x) + (options_.metric == Metric::kL2 ? q[i] * q[i] + x * x : 0);
  }
  return static_cast<float>(bound + 1e-6 * (size + 1));
}

std::string PlainCode::Serialize() const { return BeginCode(options_).Finish(); }

CodeOr MakePlainCode(const CodeOptions& options) { return std::make_unique<PlainCode>(options); }

}  // namespace larder::index
