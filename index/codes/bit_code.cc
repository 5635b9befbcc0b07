#include "index/codes/bit_code.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "index/codes/bit_levels.h"
#include "index/codes/code_format.h"
#include "index/codes/quantize.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr double kEpsilon0 = 1.9;  // of the RaBitQ papers

size_t CodeBytes(const CodeOptions& options) {
  const size_t n = options.dimension;
  if (options.kind == CodeKind::kRabitq && options.bits == 4) return RoundUp((n + 1) / 2 + 16, 16);
  if (options.kind == CodeKind::kRabitq && options.bits == 8) return RoundUp(n + 16, 16);
  return PlaneWords(n) * 8 * options.bits + (options.kind == CodeKind::kRabitq ? 12 : 8);
}

}  // namespace

BitCode::BitCode(const CodeOptions& options, std::unique_ptr<Frame> frame)
    : options_(options), frame_(std::move(frame)), rotated_centre_(frame_->RotatedCentre()),
      kernels_(SelectBitKernels()), scalar_kernels_(SelectScalarKernels()), words_(PlaneWords(options.dimension)),
      bytes_(CodeBytes(options)), block_groups_(BlockGroups(options.dimension)) {}

size_t BitCode::factors_at() const {
  const size_t n = options_.dimension;
  if (!rows_are_scalar()) return words_ * 8 * options_.bits;
  return options_.bits == 4 ? (n + 1) / 2 : n;
}

BitCode::Factors BitCode::FactorsOf(const float* o, const uint8_t* levels) const {
  const size_t n = options_.dimension;
  const float half = static_cast<float>(middle());
  double dot = 0, u_squares = 0, centre_o = 0, centre_u = 0, o_squares = 0;
  for (size_t i = 0; i < n; ++i) {
    const double u = static_cast<float>(levels[i]) - half;
    dot += u * o[i];
    u_squares += u * u;
    o_squares += static_cast<double>(o[i]) * o[i];
    centre_o += static_cast<double>(rotated_centre_[i]) * o[i];
    centre_u += rotated_centre_[i] * u;
  }
  const double scale = dot > 0 ? o_squares / dot : 0;
  Factors factors;
  factors.step = static_cast<float>(scale);
  // <q, o> = <q - c, o> + <c, o>: only the first is estimated.
  factors.add = static_cast<float>(options_.metric == Metric::kL2 ? o_squares : scale * centre_u - centre_o);
  if (dot > 0 && n > 1) {
    const double spread = std::max(0.0, o_squares * u_squares / (dot * dot) - 1) / static_cast<double>(n - 1);
    factors.error = static_cast<float>(kEpsilon0 * std::sqrt(o_squares * spread));
  }
  return factors;
}

void BitCode::PutFactors(const Factors& factors, uint8_t* code) const {
  const float lo = -static_cast<float>(middle()) * factors.step;
  const float scalar[4] = {lo, factors.step, factors.add, factors.error};
  const float planes[3] = {factors.step, factors.add, factors.error};
  if (rows_are_scalar()) {
    std::memcpy(code + factors_at(), scalar, sizeof(scalar));
  } else {
    std::memcpy(code + factors_at(), planes, (rabitq() ? 3 : 2) * sizeof(float));
  }
}

void BitCode::PutLevels(const uint8_t* levels, uint8_t* code) const {
  const size_t n = options_.dimension;
  if (rows_are_scalar() && options_.bits == 8) {
    std::memcpy(code, levels, n);
  } else if (rows_are_scalar()) {
    PackNibbles(levels, n, code);
  } else {
    PackPlanes(levels, n, options_.bits, code);
  }
}

void BitCode::TakeLevels(const uint8_t* code, uint8_t* levels) const {
  const size_t n = options_.dimension;
  if (rows_are_scalar() && options_.bits == 8) {
    std::memcpy(levels, code, n);
  } else if (rows_are_scalar()) {
    UnpackNibbles(code, n, levels);
  } else {
    UnpackPlanes(code, n, options_.bits, levels);
  }
}

void BitCode::Encode(const float* vector, uint8_t* code) const {
  const size_t n = options_.dimension;
  std::vector<float> o(n);
  std::vector<uint8_t> levels(n);
  frame_->Enter(vector, o.data());
  if (rabitq()) {
    FitLevels(o.data(), n, options_.bits, levels.data());
  } else {
    BinarizeLevels(o.data(), n, options_.bits, levels.data());
  }
  std::memset(code, 0, bytes_);
  PutLevels(levels.data(), code);
  PutFactors(FactorsOf(o.data(), levels.data()), code);
}

void BitCode::Decode(const uint8_t* code, float* vector) const {
  const size_t n = options_.dimension;
  std::vector<float> o(n);
  std::vector<uint8_t> levels(n);
  TakeLevels(code, levels.data());
  float step;
  std::memcpy(&step, code + factors_at() + (rows_are_scalar() ? 4 : 0), sizeof(step));
  for (size_t i = 0; i < n; ++i) o[i] = step * (static_cast<float>(levels[i]) - static_cast<float>(middle()));
  frame_->Leave(o.data(), vector);
}

// Two's complement planes of the query's integers, each repeated for every plane of a code.
void BitCode::PreparePlanes(const int32_t* values, CodeQuery* prepared) const {
  const size_t planes = QueryPlanes(options_), row_words = words_ * options_.bits;
  prepared->bytes.assign(planes * row_words * 8, 0);
  std::vector<uint64_t> plane(words_);
  for (size_t p = 0; p < planes; ++p) {
    std::fill(plane.begin(), plane.end(), 0);
    for (size_t i = 0; i < options_.dimension; ++i) {
      plane[i / 64] |= static_cast<uint64_t>(values[i] >> p & 1) << (i % 64);
    }
    for (size_t b = 0; b < options_.bits; ++b) {
      std::memcpy(prepared->bytes.data() + (p * row_words + b * words_) * 8, plane.data(), words_ * 8);
    }
  }
}

void BitCode::Prepare(const float* query, CodeQuery* prepared) const {
  const size_t n = options_.dimension;
  prepared->floats.resize(n);
  float* rotated = prepared->floats.data();
  const Frame::Query frame = frame_->Prepare(query, rotated);
  float* s = prepared->scalars;
  if (rows_are_scalar()) {
    PrepareScalarQuery(rotated, n, options_.bits == 4, frame.constant, frame.weight, prepared);
    s[kNorm] = 1;  // multiplies what FactorsOf adds
  } else {
    std::vector<int32_t> values(n);
    const double step = rabitq() ? RoundQuery(rotated, n, QueryPlanes(options_), values.data())
                                 : BinarizeQuery(rotated, n, options_.bits, values.data());
    double sum = 0;
    for (int32_t value : values) sum += value;
    PreparePlanes(values.data(), prepared);
    s[kConstant] = frame.constant;
    s[kDot] = static_cast<float>(frame.weight * step);
    s[kStep] = static_cast<float>(-frame.weight * step * middle() * sum);
    s[kWeight] = frame.weight;
    s[kQueryStep] = static_cast<float>(step);
  }
  double size = 0;  // |q - c|
  for (size_t i = 0; i < n; ++i) {
    const double from = options_.metric == Metric::kL2 ? rotated[i] : rotated[i] - rotated_centre_[i];
    size += from * from;
  }
  s[kSize] = static_cast<float>(std::sqrt(size));
}

void BitCode::Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const {
  if (rows_are_scalar()) {
    const ScalarQuery scalar = ScalarQueryOf(query, options_.dimension);
    return (options_.bits == 4 ? scalar_kernels_.sq4 : scalar_kernels_.sq8)(scalar, codes, count, out);
  }
  PlaneQuery planes;
  planes.planes = reinterpret_cast<const uint64_t*>(query.bytes.data());
  planes.words = words_;
  planes.code_planes = options_.bits;
  planes.query_planes = QueryPlanes(options_);
  planes.constant = query.scalars[kConstant];
  planes.dot = query.scalars[kDot];
  planes.step = query.scalars[kStep];
  kernels_.planes(planes, codes, count, out);
}

// The papers' bound, and epsilon_0 standard deviations of what the query's rounding adds.
float BitCode::ErrorBound(const CodeQuery& query, const uint8_t* code) const {
  if (!rabitq()) return std::numeric_limits<float>::infinity();
  const uint8_t* at = code + factors_at() + (rows_are_scalar() ? 4 : 0);
  Factors factors;
  std::memcpy(&factors.step, at, sizeof(float));
  std::memcpy(&factors.error, at + 8, sizeof(float));
  const double u_size = std::sqrt(options_.dimension / 12.0) * static_cast<double>(1 << options_.bits);
  const double rounding = kEpsilon0 * query.scalars[kQueryStep] / std::sqrt(12.0) * factors.step * u_size;
  const double ours = static_cast<double>(factors.error) * query.scalars[kSize];
  return static_cast<float>(std::abs(query.scalars[kWeight]) * std::sqrt(ours * ours + rounding * rounding) +
                            1e-6 * (std::abs(query.scalars[kConstant]) + 1));
}

std::string BitCode::Serialize() const {
  storage::RecordWriter writer = BeginCode(options_);
  frame_->Append(&writer);
  return std::move(writer).Finish();
}

CodeOr TrainBitCode(const CodeOptions& options, absl::Span<const float> sample) {
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, Frame::Train(options, sample));
  return std::make_unique<BitCode>(options, std::move(frame));
}

CodeOr ParseBitCode(const CodeOptions& options, storage::RecordReader* reader) {
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, Frame::Parse(options, reader));
  return std::make_unique<BitCode>(options, std::move(frame));
}

}  // namespace larder::index
