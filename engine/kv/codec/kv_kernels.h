// The loops of the codec, dispatched at run time to the best instructions of the CPU (Google Highway).
// A row is one token's heads * dim numbers as f32, in a scratch buffer with kRowSlack floats behind it: kernels
// write whole vectors, and never outside it.
#ifndef LARDER_ENGINE_KV_CODEC_KV_KERNELS_H_
#define LARDER_ENGINE_KV_CODEC_KV_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "larder/kv_types.h"

namespace larder::kv {

inline constexpr size_t kRowSlack = 64;
// Codes come in blocks of 16 bytes.
inline constexpr size_t kBlockBytes = 16;
constexpr size_t BlockColumns(int bits) { return kBlockBytes * 8 / static_cast<size_t>(bits); }

// Heads of a row to write: head h begins at row + h * dim and goes to `to` + h * stride bytes.
struct PlacedRow {
  const float* row = nullptr;
  uint32_t heads = 0, dim = 0;
  uint32_t rotary_dim = 0;      // 0 = no rotation
  const float* rope = nullptr;  // RopeTable::Row
  uint8_t* to = nullptr;
  uint64_t stride = 0;
  bool stream = false;  // past the caches, where alignment allows
};

// Heads whose codes fill whole blocks, each with its step and zero: for column c of head h
// row[c] = codes[c] * step + (mean[c] + step * zero * zero_step).
struct GroupRun {
  const uint8_t* codes = nullptr;
  size_t heads = 0, blocks = 0;     // blocks of one head
  const uint8_t* groups = nullptr;  // index of the step, then the zero, for each head
  const float* steps = nullptr;     // 256 of them
  float zero_step = 0;
  const float* mean = nullptr;
  float* row = nullptr;
};

struct KvKernels {
  // n elements of `from`, unaligned, of which nothing outside is read.
  using Widen = void (*)(const uint8_t* from, size_t n, float* row);
  // row[c] = codes[c] * scale[c] + zero[c]; whole blocks.
  using Columns = void (*)(const uint8_t* codes, size_t blocks, const float* scale, const float* zero, float* row);
  using Groups = void (*)(const GroupRun& run);
  // Rotates in f32, rounds, writes exactly heads * dim elements.
  using Place = void (*)(const PlacedRow& row);
  // cosines[i], sines[i] of 2 pi * position * turns[i]; whole vectors are written.
  using Angles = void (*)(double position, const double* turns, size_t n, float* cosines, float* sines);

  Widen widen[3] = {};     // by KvDtype
  Place place[3][3] = {};  // by KvDtype, RopeStyle
  Angles angles = nullptr;
  struct Codes {
    Columns columns = nullptr;
    Groups groups = nullptr;
  };
  Codes codes8, codes4, codes2;
  const Codes& OfBits(int bits) const { return bits == 8 ? codes8 : bits == 4 ? codes4 : codes2; }
};
// Of the CPU this runs on, or of the target that a test has chosen.
KvKernels SelectKvKernels();

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_KV_KERNELS_H_
