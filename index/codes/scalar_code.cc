#include "index/codes/scalar_code.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "index/codes/code_format.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kRowMultiple = 16;  // see kernels/scalar_codes.h
// How far a residual reaches, in steps of the nibbles.
constexpr float kResidualReach = 255.0f / kResidualSteps / 2;
// Places in CodeQuery::scalars.
enum { kConstant, kLo, kDot, kStep, kNorm, kWeight, kSize, kQueryStep };

size_t PrefixBytes(const CodeOptions& options) {
  const size_t n = options.dimension;
  const size_t factors = (options.metric == Metric::kL2 ? 3 : 2) * sizeof(float);
  return RoundUp((options.kind == CodeKind::kSq8 ? n : (n + 1) / 2) + factors, kRowMultiple);
}

// value + 1.5 * 2^23 holds the nearest integer in its low bits: the compiler makes vectors of this, and not
// of lrint. For |value| < 2^22.
int32_t Nearest(float value) {
  return std::bit_cast<int32_t>(value + 12582912.0f) - std::bit_cast<int32_t>(12582912.0f);
}

struct Sums {
  float largest = 0;  // absolute
  double sum = 0, squares = 0;
};
// In eight lanes, which the compiler makes vectors of; the order of additions is fixed.
Sums SumUp(const float* values, size_t n) {
  float largest[8] = {};
  double sum[8] = {}, squares[8] = {};
  const auto add = [&](size_t lane, float value) {
    largest[lane] = std::max(largest[lane], std::abs(value));
    sum[lane] += value;
    squares[lane] += static_cast<double>(value) * value;
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) add(lane, values[i + lane]);
  }
  for (; i < n; ++i) add(i % 8, values[i]);
  Sums all;
  for (size_t lane = 0; lane < 8; ++lane) {
    all.largest = std::max(all.largest, largest[lane]);
    all.sum += sum[lane];
    all.squares += squares[lane];
  }
  return all;
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

ScalarTerms TermsOf(const CodeQuery& query) {
  const float* s = query.scalars;
  return {s[kConstant], s[kLo], s[kStep], s[kDot], s[kNorm]};
}

}  // namespace

ScalarCode::ScalarCode(const CodeOptions& options, std::unique_ptr<Frame> frame)
    : options_(options), frame_(std::move(frame)), kernels_(SelectScalarKernels()),
      prefix_bytes_(PrefixBytes(options)),
      residual_bytes_(options.kind == CodeKind::kSq4x8 ? ResidualBytes(options.dimension) : 0) {}

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
  const Sums sums = SumUp(o, n);
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
    std::vector<uint8_t> places(RoundUp(n, 128));
    CopyToPlaces(codes.data(), n, places.data());
    for (size_t i = 0; i < code_bytes(); ++i) {
      const uint8_t* low = &places[2 * i - i % 64];
      code[i] = static_cast<uint8_t>(low[0] | low[64] << 4);
    }
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

void ScalarCode::Decode(const uint8_t* code, float* vector) const {
  const size_t n = options_.dimension;
  const Factors factors = ReadFactors(code);
  std::vector<float> o(n);
  for (size_t i = 0; i < n; ++i) {
    float level = code[nibbles() ? 0 : i];
    if (nibbles()) {
      const size_t place = NibblePlace(i, n);
      const uint8_t byte = code[place / 128 * 64 + place % 64];
      level = static_cast<float>(place % 128 < 64 ? byte & 15 : byte >> 4);
    }
    if (residual_bytes_ > 0) level += code[prefix_bytes_ + i] / static_cast<float>(kResidualSteps) - kResidualReach;
    o[i] = factors.lo + factors.step * level;
  }
  frame_->Leave(o.data(), vector);
}

void ScalarCode::Prepare(const float* query, CodeQuery* prepared) const {
  const size_t n = options_.dimension, padded = RoundUp(n, nibbles() ? 128 : 64);
  const size_t places = residual_bytes_ > 0 ? padded : 0;  // sq4x8 keeps the values by place in front
  prepared->floats.assign(places + n, 0);
  prepared->bytes.assign(padded, 0);
  float* rotated = prepared->floats.data() + places;
  const Frame::Query frame = frame_->Prepare(query, rotated);
  const Sums sums = SumUp(rotated, n);
  const float query_step = sums.largest / 127, scale = query_step > 1e-30f ? 1 / query_step : 0;
  std::vector<uint8_t> values(n);
  int32_t level_sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const int32_t level = Nearest(rotated[i] * scale);
    values[i] = static_cast<uint8_t>(level);
    level_sum += level;
  }
  if (places > 0) CopyToPlaces(rotated, n, prepared->floats.data());
  if (nibbles()) {
    CopyToPlaces(values.data(), n, prepared->bytes.data());
  } else {
    std::memcpy(prepared->bytes.data(), values.data(), n);
  }
  // Codes are taken from their middle, so that the query's rounding meets only their deviations.
  const double middle = levels() / 2.0, lost = sums.sum - static_cast<double>(query_step) * level_sum;
  float* s = prepared->scalars;
  s[kConstant] = frame.constant;
  s[kLo] = static_cast<float>(frame.weight * sums.sum);
  s[kDot] = frame.weight * query_step;
  s[kStep] = static_cast<float>(frame.weight * middle * lost);
  s[kNorm] = options_.metric == Metric::kL2 ? 1 : 0;
  s[kWeight] = frame.weight;
  s[kSize] = static_cast<float>(std::sqrt(sums.squares));
  s[kQueryStep] = query_step;
}

void ScalarCode::EstimatePrefix(const CodeQuery& query, const uint8_t* const* prefixes, size_t count,
                                float* out) const {
  const ScalarQuery q{reinterpret_cast<const int8_t*>(query.bytes.data()), options_.dimension, TermsOf(query)};
  (nibbles() ? kernels_.sq4 : kernels_.sq8)(q, prefixes, count, out);
}

void ScalarCode::EstimateFull(const CodeQuery& query, const uint8_t* const* prefixes,
                              const uint8_t* const* residuals, size_t count, float* out) const {
  ScalarTerms terms = TermsOf(query);
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
