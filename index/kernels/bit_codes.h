// Distances from codes of a few bits a dimension, dispatched at run time: rows of bit planes, gathered, by
// AND and popcount; and blocks of 32 one-bit codes, by table lookups in registers (FastScan, Andre et al.).
#ifndef LARDER_INDEX_KERNELS_BIT_CODES_H_
#define LARDER_INDEX_KERNELS_BIT_CODES_H_

#include <cstddef>
#include <cstdint>

namespace larder::index {

// 64-bit words of one plane: bit i % 64 of word i / 64 belongs to dimension i.
constexpr size_t PlaneWords(size_t dimension) { return (dimension + 63) / 64; }

// sum = <query, codes> of integers: code planes from the lowest, query planes from the lowest, of which the
// highest counts negative (two's complement). distance = constant + row.step * (dot * sum + step) + row.add.
struct PlaneQuery {
  const uint64_t* planes = nullptr;  // query_planes times the row's words: each plane once for each code plane
  size_t words = 0;                  // of one plane
  size_t code_planes = 0, query_planes = 0;
  float constant = 0, dot = 0, step = 0;
};
// A row: code_planes * words words, then step and add as f32, all unaligned; nothing else is read.
using PlaneBatch = void (*)(const PlaneQuery& query, const uint8_t* const* rows, size_t count, float* out);

// A block holds 32 codes: for each 4 dimensions 16 bytes, whose low nibbles are codes 0 to 15 and whose high
// ones codes 16 to 31. sums[i] = the total of table[group][nibble i]; tables of 16 bytes a group.
constexpr size_t kBlockCodes = 32;
// 16 * groups bytes: groups is a multiple of 4, so that no vector leaves them.
constexpr size_t BlockGroups(size_t dimension) { return (dimension + 15) / 16 * 4; }
using BlockSums = void (*)(const uint8_t* tables, const uint8_t* block, size_t groups, uint32_t* sums);

struct BitKernels {
  PlaneBatch planes = nullptr;
  BlockSums block = nullptr;
};
BitKernels SelectBitKernels();

}  // namespace larder::index

#endif  // LARDER_INDEX_KERNELS_BIT_CODES_H_
