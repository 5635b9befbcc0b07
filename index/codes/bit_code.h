// rabitq and binary: o = R(x - c) (frame.h) as odd levels u of a few bits a dimension, o ~ u |o|^2 / <o, u>.
//
// rabitq (Gao and Long, arXiv:2405.12497 and 2409.09913): u maximises the cosine with o; the query keeps
// more bits than the code; the estimate is unbiased and has an error bound. c is the one anchor.
// binary (BEBR, arXiv:2302.08714): u = sum of 2^-t b_t, b_t the sign of what the rounds before t left; the
// query is binarised likewise, so that two codes compare by popcount alone.
//
// A row is the bits, then step and add and (rabitq) the error as f32. Bits are planes (kernels/bit_codes.h);
// rabitq4 and rabitq8 are rows of kernels/scalar_codes.h.
#ifndef LARDER_INDEX_CODES_BIT_CODE_H_
#define LARDER_INDEX_CODES_BIT_CODE_H_

#include <memory>

#include "index/codes/code.h"
#include "index/codes/frame.h"
#include "index/kernels/bit_codes.h"
#include "index/kernels/scalar_codes.h"

namespace larder::index {

// Learns the centre only: any sample of at least one row. rabitq's ErrorBound has epsilon_0 = 1.9: it holds
// for some 94 of 100 vectors. binary has none.
class BitCode final : public Code {
 public:
  BitCode(const CodeOptions& options, std::unique_ptr<Frame> frame);

  const CodeOptions& options() const override { return options_; }
  size_t bytes() const override { return bytes_; }
  void Encode(const float* vector, uint8_t* code) const override;
  void Decode(const uint8_t* code, float* vector) const override;
  void Prepare(const float* query, CodeQuery* prepared) const override;
  void Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const override;
  float ErrorBound(const CodeQuery& query, const uint8_t* code) const override;
  std::string Serialize() const override;

  // rabitq1 and binary1 only: 32 codes in one block, scanned together, several times as fast as one by one.
  // The tables round the query to 8 bits a group of 4 dimensions.
  size_t block_bytes() const { return block_groups_ * 16 + kBlockCodes * 2 * sizeof(float); }
  // count <= 32; what is missing repeats the last.
  void PackBlock(const uint8_t* const* codes, size_t count, uint8_t* block) const;
  void PrepareBlocks(const float* query, CodeQuery* prepared) const;  // for EstimateBlock only
  void EstimateBlock(const CodeQuery& query, const uint8_t* block, float* out) const;  // 32 distances

 private:
  struct Factors {
    float step = 0, add = 0, error = 0;
  };
  bool rows_are_scalar() const { return rabitq() && (options_.bits == 4 || options_.bits == 8); }
  bool rabitq() const { return options_.kind == CodeKind::kRabitq; }
  double middle() const { return ((1 << options_.bits) - 1) / 2.0; }
  size_t factors_at() const;
  Factors FactorsOf(const float* o, const uint8_t* levels) const;
  void PutLevels(const uint8_t* levels, uint8_t* code) const;
  void TakeLevels(const uint8_t* code, uint8_t* levels) const;
  void PutFactors(const Factors& factors, uint8_t* code) const;
  void PreparePlanes(const int32_t* values, CodeQuery* prepared) const;

  const CodeOptions options_;
  const std::unique_ptr<Frame> frame_;
  const std::vector<float> rotated_centre_;
  const BitKernels kernels_;
  const ScalarKernels scalar_kernels_;
  const size_t words_;  // of a plane
  const size_t bytes_;
  const size_t block_groups_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_BIT_CODE_H_
