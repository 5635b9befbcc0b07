// BitCode's blocks of 32 codes (FastScan).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "index/codes/bit_code.h"
#include "index/codes/quantize.h"

namespace larder::index {
namespace {

// Four values of a group, in all combinations: entry e is the sum of those whose bit is set.
void GroupSums(const float* values, float* sums) {
  sums[0] = 0;
  for (int e = 1; e < 16; ++e) sums[e] = sums[e & (e - 1)] + values[std::countr_zero(static_cast<unsigned>(e))];
}

}  // namespace

void BitCode::PackBlock(const uint8_t* const* codes, size_t count, uint8_t* block) const {
  std::memset(block, 0, block_bytes());
  uint8_t* factors = block + 16 * block_groups_;
  for (size_t j = 0; j < kBlockCodes; ++j) {
    const uint8_t* code = codes[std::min(j, count - 1)];
    for (size_t g = 0; g < block_groups_; ++g) {
      const int nibble = code[g / 2] >> (g % 2 * 4) & 15;  // planes are little endian
      block[16 * g + j % 16] |= static_cast<uint8_t>(j < 16 ? nibble : nibble << 4);
    }
    std::memcpy(factors + 4 * j, code + factors_at(), sizeof(float));
    std::memcpy(factors + 4 * (kBlockCodes + j), code + factors_at() + 4, sizeof(float));
  }
}

void BitCode::PrepareBlocks(const float* query, CodeQuery* prepared) const {
  const size_t n = options_.dimension;
  prepared->floats.assign(4 * block_groups_, 0);
  prepared->bytes.resize(16 * block_groups_);
  float* rotated = prepared->floats.data();
  const Frame::Query frame = frame_->Prepare(query, rotated);
  float widest = 0;
  for (size_t g = 0; g < block_groups_; ++g) {
    float width = 0;
    for (size_t i = 0; i < 4; ++i) width += std::abs(rotated[4 * g + i]);
    widest = std::max(widest, width);
  }
  const float step = widest / 255, scale = step > 1e-30f ? 1 / step : 0;
  double lows = 0;
  for (size_t g = 0; g < block_groups_; ++g) {
    float sums[16], low = 0;
    GroupSums(rotated + 4 * g, sums);
    for (float sum : sums) low = std::min(low, sum);
    for (size_t e = 0; e < 16; ++e) prepared->bytes[16 * g + e] = static_cast<uint8_t>(Nearest((sums[e] - low) * scale));
    lows += low;
  }
  float* s = prepared->scalars;
  s[kConstant] = frame.constant;
  s[kDot] = frame.weight * step;
  s[kStep] = static_cast<float>(frame.weight * (lows - middle() * SumUp(rotated, n).sum));
}

void BitCode::EstimateBlock(const CodeQuery& query, const uint8_t* block, float* out) const {
  uint32_t sums[kBlockCodes];
  float factors[2 * kBlockCodes];
  kernels_.block(query.bytes.data(), block, block_groups_, sums);
  std::memcpy(factors, block + 16 * block_groups_, sizeof(factors));
  const float* s = query.scalars;
  for (size_t i = 0; i < kBlockCodes; ++i) {
    const float dot = s[kDot] * static_cast<float>(static_cast<int32_t>(sums[i])) + s[kStep];
    out[i] = s[kConstant] + factors[i] * dot + factors[kBlockCodes + i];
  }
}

}  // namespace larder::index
