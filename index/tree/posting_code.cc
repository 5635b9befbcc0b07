#include "index/tree/posting_code.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/codes/bit_levels.h"
#include "index/codes/quantize.h"
#include "index/kernels/half.h"

namespace larder::index {
namespace {

constexpr double kEpsilon0 = 1.9;  // of the RaBitQ papers: holds for some 94 of 100

// Rounded up: a bound must not shrink.
uint16_t HalfAtLeast(float value) {
  const uint16_t half = HalfFromFloat(value);
  return half < 0x7BFF && FloatFromHalf(half) < value ? half + 1 : half;
}

// The next 4 dimensions of one bit's plane as a nibble.
uint8_t NibbleOf(const uint8_t* levels, size_t first, size_t n, uint32_t bit) {
  uint8_t nibble = 0;
  for (size_t i = 0; i < 4 && first + i < n; ++i) {
    nibble |= static_cast<uint8_t>((levels[first + i] >> bit & 1) << i);
  }
  return nibble;
}

}  // namespace

absl::Status PostingCodeOptions::Validate() const {
  if (dimension == 0 || dimension > 65'536 || bits < 1 || bits > 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("posting code: dimension ", dimension, " and ", bits, " bits, expected 1 to 65536 and 1 to 8"));
  }
  return absl::OkStatus();
}

PostingCode::PostingCode(const PostingCodeOptions& options)
    : options_(options), rotation_(options.dimension, options.seed), kernels_(SelectBitKernels()),
      groups_(BlockGroups(options.dimension)) {}

size_t PostingCode::block_bytes() const { return options_.bits * 16 * groups_ + kBlockCodes * kTailBytes; }

void PostingCode::Encode(const float* rotated, const float* centre, const EntryPlace& place, uint8_t* row) const {
  const size_t n = options_.dimension;
  std::vector<float> o(n);
  std::vector<uint8_t> levels(n);
  for (size_t i = 0; i < n; ++i) o[i] = rotated[i] - centre[i];
  FitLevels(o.data(), n, options_.bits, levels.data());
  double dot = 0, u_squares = 0, o_squares = 0, centre_o = 0, centre_u = 0;
  for (size_t i = 0; i < n; ++i) {
    const double u = static_cast<float>(levels[i]) - middle();
    dot += u * o[i];
    u_squares += u * u;
    o_squares += static_cast<double>(o[i]) * o[i];
    centre_o += static_cast<double>(centre[i]) * o[i];
    centre_u += centre[i] * u;
  }
  const double scale = dot > 0 ? o_squares / dot : 0;
  // <q, o> = <q - c, o> + <c, o>: only the first is estimated.
  const float factors[2] = {static_cast<float>(scale),
                            static_cast<float>(options_.metric == Metric::kL2 ? o_squares + 2 * scale * centre_u
                                                                              : scale * centre_u - centre_o)};
  double error = 0;
  if (dot > 0 && n > 1) {
    const double spread = std::max(0.0, o_squares * u_squares / (dot * dot) - 1) / static_cast<double>(n - 1);
    error = kEpsilon0 * std::sqrt(o_squares * spread);
  }
  for (uint32_t bit = 0; bit < options_.bits; ++bit) {
    for (size_t g = 0; g < groups_; g += 2) {
      *row++ = static_cast<uint8_t>(NibbleOf(levels.data(), 4 * g, n, bit) |
                                    NibbleOf(levels.data(), 4 * g + 4, n, bit) << 4);
    }
  }
  const uint16_t half = HalfAtLeast(static_cast<float>(error));
  std::memcpy(row, factors, 8);
  std::memcpy(row + 8, &half, 2);
  std::memcpy(row + 10, &place.vid, 8);
  std::memcpy(row + 18, &place.group, 4);
  std::memcpy(row + 22, &place.slot, 2);
}

void PostingCode::Prepare(const float* query, PostingQuery* prepared) const {
  const size_t n = options_.dimension;
  prepared->plain.assign(query, query + n);
  prepared->rotated.assign(4 * groups_, 0);
  prepared->tables.resize(16 * groups_);
  float* rotated = prepared->rotated.data();
  rotation_.Apply(query, rotated);
  float widest = 0;
  for (size_t g = 0; g < groups_; ++g) {
    float width = 0;
    for (size_t i = 0; i < 4; ++i) width += std::abs(rotated[4 * g + i]);
    widest = std::max(widest, width);
  }
  const float step = widest / 255, scale = step > 1e-30f ? 1 / step : 0;
  double lows = 0;
  for (size_t g = 0; g < groups_; ++g) {
    const float* q = rotated + 4 * g;
    float sums[16] = {}, low = 0;
    for (unsigned e = 1; e < 16; ++e) sums[e] = sums[e & (e - 1)] + q[std::countr_zero(e)];
    for (float sum : sums) low = std::min(low, sum);
    for (size_t e = 0; e < 16; ++e) prepared->tables[16 * g + e] = static_cast<uint8_t>(Nearest((sums[e] - low) * scale));
    lows += low;
  }
  const double planes = (1 << options_.bits) - 1;  // the sum of 2^bit
  prepared->weight = options_.metric == Metric::kL2 ? -2 : -1;
  prepared->dot = step;
  prepared->base = static_cast<float>(planes * lows - middle() * SumUp(rotated, n).sum);
  prepared->rounding = static_cast<float>(step * std::sqrt(static_cast<double>(groups_) / 12));
}

PostingCode::AnchorTerms PostingCode::Against(const PostingQuery& query, const float* anchor) const {
  const size_t n = options_.dimension;
  const double dot = DotProduct(query.plain.data(), anchor, n);
  const double squares = std::max(0.0, DotProduct(query.plain.data(), query.plain.data(), n) - 2 * dot +
                                           DotProduct(anchor, anchor, n));
  AnchorTerms terms;
  terms.distance = static_cast<float>(std::sqrt(squares));
  terms.constant = static_cast<float>(options_.metric == Metric::kL2 ? squares
                                                                     : (options_.metric == Metric::kCosine ? 1 : 0) - dot);
  return terms;
}

void PostingCode::EstimateBlock(const PostingQuery& query, const AnchorTerms& anchor, const uint8_t* block,
                                float* distances) const {
  uint32_t sums[kBlockCodes], totals[kBlockCodes] = {};
  for (uint32_t bit = 0; bit < options_.bits; ++bit, block += 16 * groups_) {
    kernels_.block(query.tables.data(), block, groups_, sums);
    for (size_t i = 0; i < kBlockCodes; ++i) totals[i] += sums[i] << bit;
  }
  float steps[kBlockCodes], adds[kBlockCodes];
  std::memcpy(steps, block, sizeof(steps));
  std::memcpy(adds, block + sizeof(steps), sizeof(adds));
  for (size_t i = 0; i < kBlockCodes; ++i) {
    const float dot = query.dot * static_cast<float>(static_cast<int32_t>(totals[i])) + query.base;
    distances[i] = anchor.constant + query.weight * steps[i] * dot + adds[i];
  }
}

float PostingCode::ErrorBound(const PostingQuery& query, const AnchorTerms& anchor, const uint8_t* block,
                              size_t lane) const {
  const uint8_t* factors = block + options_.bits * 16 * groups_;
  float step;
  uint16_t half;
  std::memcpy(&step, factors + 4 * lane, sizeof(step));
  std::memcpy(&half, factors + 8 * kBlockCodes + 2 * lane, sizeof(half));
  // Planes round alike; the sum over 4^bit of their variances.
  const double planes = std::sqrt(((1 << 2 * options_.bits) - 1) / 3.0);
  const double ours = double{FloatFromHalf(half)} * anchor.distance, tables = kEpsilon0 * query.rounding * planes * step;
  return static_cast<float>(std::abs(query.weight) * std::sqrt(ours * ours + tables * tables));
}

}  // namespace larder::index
