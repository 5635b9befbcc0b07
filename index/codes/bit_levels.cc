#include "index/codes/bit_levels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "index/codes/quantize.h"
#include "index/kernels/bit_codes.h"
#include "index/kernels/scalar_codes.h"

namespace larder::index {
namespace {

// cos(o, u)^2 but for |o|, where u = +-(m + 1/2), m = min(floor(t |o|), most).
float Fit(const float* sizes, size_t n, float t, int32_t most) {
  float dot[8] = {}, squares[8] = {};
  const auto add = [&](size_t lane, float size) {
    const float level = static_cast<float>(std::min(static_cast<int32_t>(t * size), most)) + 0.5f;
    dot[lane] += level * size;
    squares[lane] += level * level;
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) add(lane, sizes[i + lane]);
  }
  for (; i < n; ++i) add(i % 8, sizes[i]);
  float all = 0, total = 0;
  for (size_t lane = 0; lane < 8; ++lane) all += dot[lane], total += squares[lane];
  return all * (all / total);
}

// The step between the levels of the best uniform quantiser of N(0, 1) with 1 to 4 bits (Max, 1960).
constexpr float kNormalStep[] = {1.596f, 0.9957f, 0.586f, 0.3352f};

void UniformLevels(const float* o, size_t n, uint32_t bits, float step, uint8_t* levels) {
  const int32_t half = 1 << (bits - 1);
  const float scale = step > 1e-30f ? 1 / step : 0;
  for (size_t i = 0; i < n; ++i) {
    const float level = std::min(std::max(std::floor(o[i] * scale), -static_cast<float>(half)), half - 1.0f);
    levels[i] = static_cast<uint8_t>(static_cast<int32_t>(level) + half);
  }
}

}  // namespace

void FitLevels(const float* o, size_t n, uint32_t bits, uint8_t* levels) {
  const int32_t half = 1 << (bits - 1), most = half - 1;
  const float largest = SumUp(o, n).largest;
  float best_t = 0;
  if (bits > 1 && largest > 1e-30f) {
    std::vector<float> sizes(n);
    for (size_t i = 0; i < n; ++i) sizes[i] = std::abs(o[i]) / largest;
    float best = -1;
    // At 1 the largest just reaches the last level; beyond it is clipped, which pays with few bits.
    for (float reach = 0.65f; reach < 2.8f; reach *= 1.07f) {
      const float t = reach * static_cast<float>(half), fit = Fit(sizes.data(), n, t, most);
      if (fit > best) best = fit, best_t = t;
    }
    best_t /= largest;
  }
  for (size_t i = 0; i < n; ++i) {
    const int32_t m = std::min(static_cast<int32_t>(best_t * std::abs(o[i])), most);
    levels[i] = static_cast<uint8_t>(o[i] >= 0 ? half + m : most - m);
  }
}

void BinarizeLevels(const float* o, size_t n, uint32_t bits, uint8_t* levels) {
  const double rms = std::sqrt(SumUp(o, n).squares / static_cast<double>(n));
  UniformLevels(o, n, bits, kNormalStep[bits - 1] * static_cast<float>(rms), levels);
}

uint32_t QueryPlanes(const CodeOptions& options) {
  return options.kind == CodeKind::kBinary ? options.bits + 1 : std::min(8u, options.bits + 3);
}

double RoundQuery(const float* q, size_t n, uint32_t planes, int32_t* values) {
  const float step = SumUp(q, n).largest / static_cast<float>((1 << (planes - 1)) - 1);
  const float scale = step > 1e-30f ? 1 / step : 0;
  for (size_t i = 0; i < n; ++i) values[i] = Nearest(q[i] * scale);
  return step;
}

double BinarizeQuery(const float* q, size_t n, uint32_t bits, int32_t* values) {
  std::vector<uint8_t> levels(n);
  BinarizeLevels(q, n, bits, levels.data());
  double dot = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    values[i] = 2 * levels[i] - ((1 << bits) - 1);
    dot += static_cast<double>(values[i]) * q[i];
    squares += static_cast<double>(values[i]) * values[i];
  }
  return dot / squares;
}

void PackNibbles(const uint8_t* levels, size_t n, uint8_t* code) {
  std::vector<uint8_t> places(RoundUp(n, 128));
  CopyToPlaces(levels, n, places.data());
  for (size_t i = 0; i < (n + 1) / 2; ++i) {
    const uint8_t* low = &places[2 * i - i % 64];
    code[i] = static_cast<uint8_t>(low[0] | low[64] << 4);
  }
}

void UnpackNibbles(const uint8_t* code, size_t n, uint8_t* levels) {
  for (size_t i = 0; i < n; ++i) {
    const size_t place = NibblePlace(i, n);
    const uint8_t byte = code[place / 128 * 64 + place % 64];
    levels[i] = place % 128 < 64 ? byte & 15 : byte >> 4;
  }
}

void PackPlanes(const uint8_t* levels, size_t n, uint32_t bits, uint8_t* code) {
  const size_t words = PlaneWords(n);
  for (uint32_t b = 0; b < bits; ++b) {
    for (size_t w = 0; w < words; ++w) {
      uint64_t word = 0;
      const size_t end = std::min<size_t>(64, n - 64 * w);
      for (size_t i = 0; i < end; ++i) word |= static_cast<uint64_t>(levels[64 * w + i] >> b & 1) << i;
      std::memcpy(code + (b * words + w) * 8, &word, sizeof(word));
    }
  }
}

void UnpackPlanes(const uint8_t* code, size_t n, uint32_t bits, uint8_t* levels) {
  const size_t words = PlaneWords(n);
  std::memset(levels, 0, n);
  for (uint32_t b = 0; b < bits; ++b) {
    for (size_t i = 0; i < n; ++i) {
      const uint8_t byte = code[b * words * 8 + i / 8];
      levels[i] |= static_cast<uint8_t>((byte >> (i % 8) & 1) << b);
    }
  }
}

}  // namespace larder::index
