#include "index/codes/scalar_code.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "index/codes/bit_levels.h"
#include "index/codes/code_format.h"
#include "index/codes/quantize.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kRowMultiple = 16;  // see kernels/scalar_codes.h
size_t PrefixBytes(const CodeOptions& options) {
  const size_t n = options.dimension;
  const size_t factors = (options.metric == Metric::kL2 ? 3 : 2) * sizeof(float);
  return RoundUp((options.kind == CodeKind::kSq8 ? n : (n + 1) / 2) + factors, kRowMultiple);
}

double DotWithCodes(const float* o, const uint8_t* codes, size_t n) {
  double sum[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sum[lane] += static_cast<double>(o[i + lane]) * codes[i + lane];
  }
  for (; i < n; ++i) sum[i % 8] += static_cast<double>(o[i]) * codes[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace

ScalarCode::ScalarCode(const CodeOptions& options, std::unique_ptr<Frame> frame)
    : options_(options), frame_(std::move(frame)), kernels_(SelectScalarKernels()),
      prefix_bytes_(PrefixBytes(options)),
      residual_bytes_(options.kind == CodeKind::kSq4x8 ? ResidualBytes(options.dimension) : 0) {
  if (residual_bytes_ == 0) return;
  centre_.resize(places());
  if (options.metric == Metric::kL2) return;  // a translation changes no distance
  CopyToPlaces(frame_->RotatedCentre().data(), options.dimension, centre_.data());
}

ScalarCode::Factors ScalarCode::Quantize(const float* o, uint8_t* codes) const {
  const size_t n = options_.dimension;
  float lo = o[0], high = o[0];
  for (size_t i = 1; i < n; ++i) {
    lo = o[i] < lo ? o[i] : lo;
    high = o[i] > high ? o[i] : high;
  }
  const float range = high - lo;
  // A range that has no inverse is none.
  const float scale = range > 1e-30f ? static_cast<float>(levels()) / range : 0;
  for (size_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(Nearest((o[i] - lo) * scale));
  Factors factors{lo, scale > 0 ? range / static_cast<float>(levels()) : 0, 0};
  Correct(o, codes, &factors);
  return factors;
}

// Scales lo and step by |o|^2 / <o, o~>, unless a residual would no longer reach o.
void ScalarCode::Correct(const float* o, const uint8_t* codes, Factors* factors) const {
  const size_t n = options_.dimension;
  const FloatSums sums = SumUp(o, n);
  factors->norm = static_cast<float>(sums.squares);
  const double decoded = factors->lo * sums.sum + factors->step * DotWithCodes(o, codes, n);
  if (!(decoded > 0.5 * sums.squares)) return;
  const float alpha = static_cast<float>(sums.squares / decoded);
  const float lo = factors->lo * alpha, step = factors->step * alpha, reach = kResidualReach * step;
  int outside = 0;
  for (size_t i = 0; i < n; ++i) outside += std::abs(o[i] - (lo + step * codes[i])) > reach;
  if (outside > 0) return;
  factors->lo = lo;
  factors->step = step;
}

void ScalarCode::EncodeResidual(const float* o, const uint8_t* codes, const Factors& factors,
                                uint8_t* residual) const {
  std::memset(residual, 0, residual_bytes_);
  const float scale = factors.step > 0 ? kResidualSteps / factors.step : 0;
  for (size_t i = 0; i < options_.dimension; ++i) {
    const float rest = o[i] - (factors.lo + factors.step * codes[i]);
    const float level = rest * scale + kResidualReach * kResidualSteps;
    residual[i] = static_cast<uint8_t>(Nearest(std::min(std::max(level, 0.0f), 255.0f)));
  }
}

void ScalarCode::Encode(const float* vector, uint8_t* code) const {
  const size_t n = options_.dimension;
  std::vector<float> o(n);
  std::vector<uint8_t> codes(n);
  frame_->Enter(vector, o.data());
  const Factors factors = Quantize(o.data(), codes.data());
  std::memset(code, 0, prefix_bytes_);
  if (nibbles()) {
    PackNibbles(codes.data(), n, code);
  } else {
    std::memcpy(code, codes.data(), n);
  }
  std::memcpy(code + code_bytes(), &factors, (options_.metric == Metric::kL2 ? 3 : 2) * sizeof(float));
  if (residual_bytes_ > 0) EncodeResidual(o.data(), codes.data(), factors, code + prefix_bytes_);
}

ScalarCode::Factors ScalarCode::ReadFactors(const uint8_t* code) const {
  Factors factors;
  std::memcpy(static_cast<void*>(&factors), code + code_bytes(), 2 * sizeof(float));
  return factors;
}

bool ScalarCode::IsSound(const uint8_t* code) const {
  Factors factors = ReadFactors(code);
  if (options_.metric == Metric::kL2) std::memcpy(&factors.norm, code + code_bytes() + 2 * sizeof(float), sizeof(float));
  const double low = std::abs(static_cast<double>(factors.lo));
  const double largest = low + (levels() + kResidualReach) * std::abs(static_cast<double>(factors.step));
  return options_.dimension * largest * largest <= kMaxSquaredNorm && std::abs(factors.norm) <= 4 * kMaxSquaredNorm;
}

void ScalarCode::Decode(const uint8_t* code, float* vector) const {
  const size_t n = options_.dimension;
  const Factors factors = ReadFactors(code);
  std::vector<float> o(n);
  std::vector<uint8_t> codes(code, code + n * !nibbles());
  codes.resize(n);
  if (nibbles()) UnpackNibbles(code, n, codes.data());
  for (size_t i = 0; i < n; ++i) {
    float level = codes[i];
    if (residual_bytes_ > 0) level += code[prefix_bytes_ + i] / static_cast<float>(kResidualSteps) - kResidualReach;
    o[i] = factors.lo + factors.step * level;
  }
  frame_->Leave(o.data(), vector);
}

void ScalarCode::DecodePlaces(const uint8_t* prefix, const uint8_t* residual, float* out) const {
  const Factors factors = ReadFactors(prefix);
  kernels_.decode({prefix, residual, factors.lo, factors.step}, options_.dimension, centre_.data(), out);
}

void ScalarCode::Prepare(const float* query, CodeQuery* prepared) const {
  const size_t n = options_.dimension;
  // sq4x8 keeps the values by place in front.
  const size_t places = residual_bytes_ > 0 ? RoundUp(n, 128) : 0;
  prepared->floats.assign(places + n, 0);
  float* rotated = prepared->floats.data() + places;
  const Frame::Query frame = frame_->Prepare(query, rotated);
  if (places > 0) CopyToPlaces(rotated, n, prepared->floats.data());
  PrepareScalarQuery(rotated, n, nibbles(), frame.constant, frame.weight, prepared);
  prepared->scalars[kNorm] = options_.metric == Metric::kL2 ? 1 : 0;
}

void ScalarCode::EstimatePrefix(const CodeQuery& query, const uint8_t* const* prefixes, size_t count,
                                float* out) const {
  (nibbles() ? kernels_.sq4 : kernels_.sq8)(ScalarQueryOf(query, options_.dimension), prefixes, count, out);
}

void ScalarCode::EstimateFull(const CodeQuery& query, const uint8_t* const* prefixes,
                              const uint8_t* const* residuals, size_t count, float* out) const {
  ScalarTerms terms = ScalarQueryOf(query, options_.dimension).terms;
  terms.dot = query.scalars[kWeight] / kResidualSteps;
  terms.step = -kResidualReach * terms.lo;
  kernels_.sq4x8({query.floats.data(), options_.dimension, terms}, prefixes, residuals, count, out);
}

void ScalarCode::Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const {
  if (residual_bytes_ == 0) return EstimatePrefix(query, codes, count, out);
  const uint8_t* residuals[64];
  for (size_t i = 0; i < count; i += 64) {
    const size_t some = std::min<size_t>(64, count - i);
    for (size_t j = 0; j < some; ++j) residuals[j] = codes[i + j] + prefix_bytes_;
    EstimateFull(query, codes + i, residuals, some, out + i);
  }
}

// Three standard deviations, each rounding uniform over its step and independent of the others.
float ScalarCode::ErrorBound(const CodeQuery& query, const uint8_t* code) const {
  const float* s = query.scalars;
  const float step = ReadFactors(code).step, size = s[kSize];
  float variance = size * size / 12;
  if (residual_bytes_ > 0) {
    variance /= static_cast<float>(kResidualSteps) * kResidualSteps;
  } else {
    const float spread = static_cast<float>(levels() * levels()) / 12 * static_cast<float>(options_.dimension);
    variance += s[kQueryStep] * s[kQueryStep] / 12 * spread;
  }
  constexpr float kRounding = 1e-6f;  // f32 sums
  return 3 * std::abs(s[kWeight]) * step * std::sqrt(variance) + kRounding * (std::abs(s[kConstant]) + size);
}

std::string ScalarCode::Serialize() const {
  storage::RecordWriter writer = BeginCode(options_);
  frame_->Append(&writer);
  return std::move(writer).Finish();
}

CodeOr TrainScalarCode(const CodeOptions& options, absl::Span<const float> sample) {
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, Frame::Train(options, sample));
  return std::make_unique<ScalarCode>(options, std::move(frame));
}

CodeOr ParseScalarCode(const CodeOptions& options, storage::RecordReader* reader) {
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, Frame::Parse(options, reader));
  return std::make_unique<ScalarCode>(options, std::move(frame));
}

}  // namespace larder::index
