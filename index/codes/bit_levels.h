// Levels 0 to 2^bits - 1 of a rotated vector, u = level - (2^bits - 1) / 2, and their packing.
#ifndef LARDER_INDEX_CODES_BIT_LEVELS_H_
#define LARDER_INDEX_CODES_BIT_LEVELS_H_

#include <cstddef>
#include <cstdint>

#include "index/codes/code.h"

namespace larder::index {

// The u whose cosine with o is largest among scalings t of o (arXiv:2409.09913, section 3.2; t from a grid).
void FitLevels(const float* o, size_t n, uint32_t bits, uint8_t* levels);
// BEBR's rounds with weights 2^-t; the first weight suits a normal distribution of o's size.
void BinarizeLevels(const float* o, size_t n, uint32_t bits, uint8_t* levels);

// Planes of a query's integers: rabitq's beyond the code's own bits, binary's the same and a sign.
uint32_t QueryPlanes(const CodeOptions& options);
// Integers in -(2^(planes-1) - 1) .. 2^(planes-1) - 1 and the step s: q ~ s * values.
double RoundQuery(const float* q, size_t n, uint32_t planes, int32_t* values);
// 2u of BinarizeLevels: odd integers, and the s that fits them best.
double BinarizeQuery(const float* q, size_t n, uint32_t bits, int32_t* values);

// As kernels/scalar_codes.h and kernels/bit_codes.h lay them out; `code` begins as zeros.
void PackNibbles(const uint8_t* levels, size_t n, uint8_t* code);
void UnpackNibbles(const uint8_t* code, size_t n, uint8_t* levels);
void PackPlanes(const uint8_t* levels, size_t n, uint32_t bits, uint8_t* code);
void UnpackPlanes(const uint8_t* code, size_t n, uint32_t bits, uint8_t* levels);

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_BIT_LEVELS_H_
