#include "index/codes/scalar_code.h"

#include <algorithm>
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

// The byte of a row that holds dimension i as a nibble, and whether as the high one.
struct Nibble {
  size_t byte;
  bool high;
};
Nibble NibbleOf(size_t i, size_t dimension) {
  const size_t place = NibblePlace(i, dimension), block = place / 128 * 64, in_block = place % 128;
  return {block + in_block % 64, in_block >= 64};
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
  const auto [low, high] = std::minmax_element(o, o + n);
  const float lo = *low, range = *high - lo;
  // A range that has no inverse is none.
  const float scale = range > 1e-30f ? static_cast<float>(levels()) / range : 0;
  for (size_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>((o[i] - lo) * scale + 0.5f);
  Factors factors{lo, scale > 0 ? range / static_cast<float>(levels()) : 0, 0};
  Correct(o, codes, &factors);
  return factors;
}

// Scales lo and step by |o|^2 / <o, o~>, unless a residual would no longer reach o.
void ScalarCode::Correct(const float* o, const uint8_t* codes, Factors* factors) const {
  const size_t n = options_.dimension;
  double norm = 0, sum = 0, code_sum = 0;
  for (size_t i = 0; i < n; ++i) {
    norm += static_cast<double>(o[i]) * o[i];
    sum += o[i];
    code_sum += static_cast<double>(o[i]) * codes[i];
  }
  factors->norm = static_cast<float>(norm);
  const double decoded = factors->lo * sum + factors->step * code_sum;
  if (!(decoded > 0.5 * norm)) return;
  const float alpha = static_cast<float>(norm / decoded);
  const float lo = factors->lo * alpha, step = factors->step * alpha;
  float worst = 0;
  for (size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(o[i] - (lo + step * codes[i])));
  if (worst > kResidualReach * step) return;
  factors->lo = lo;
  factors->step = step;
}

void ScalarCode::EncodeResidual(const float* o, const uint8_t* codes, const Factors& factors,
                                uint8_t* residual) const {
  std::memset(residual, 0, residual_bytes_);
  const float scale = factors.step > 0 ? kResidualSteps / factors.step : 0;
  for (size_t i = 0; i < options_.dimension; ++i) {
    const float rest = o[i] - (factors.lo + factors.step * codes[i]);
    const float level = rest * scale + kResidualReach * kResidualSteps + 0.5f;
    residual[i] = static_cast<uint8_t>(std::clamp(level, 0.0f, 255.0f));
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
    for (size_t i = 0; i < n; ++i) {
      const Nibble at = NibbleOf(i, n);
      code[at.byte] |= static_cast<uint8_t>(at.high ? codes[i] << 4 : codes[i]);
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
    float level = code[i];
    if (nibbles()) {
      const Nibble at = NibbleOf(i, n);
      level = static_cast<float>(at.high ? code[at.byte] >> 4 : code[at.byte] & 15);
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
  float largest = 0;
  double sum = 0, norm = 0;
  for (size_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(rotated[i]));
    sum += rotated[i];
    norm += static_cast<double>(rotated[i]) * rotated[i];
  }
  const float query_step = largest / 127, scale = query_step > 1e-30f ? 1 / query_step : 0;
  int64_t level_sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t place = nibbles() ? NibblePlace(i, n) : i;
    const int8_t level = static_cast<int8_t>(std::lrint(rotated[i] * scale));
    prepared->bytes[place] = static_cast<uint8_t>(level);
    if (places > 0) prepared->floats[place] = rotated[i];
    level_sum += level;
  }
  // Codes are taken from their middle, so that the query's rounding meets only their deviations.
  const double middle = levels() / 2.0, lost = sum - static_cast<double>(query_step) * static_cast<double>(level_sum);
  float* s = prepared->scalars;
  s[kConstant] = frame.constant;
  s[kLo] = static_cast<float>(frame.weight * sum);
  s[kDot] = frame.weight * query_step;
  s[kStep] = static_cast<float>(frame.weight * middle * lost);
  s[kNorm] = options_.metric == Metric::kL2 ? 1 : 0;
  s[kWeight] = frame.weight;
  s[kSize] = static_cast<float>(std::sqrt(norm));
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
