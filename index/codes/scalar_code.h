// sq8, sq4 and sq4x8: o = R(x - c) (frame.h) in uniform steps over its own range (LVQ, Aguerrebere et al.,
// arXiv:2304.04759): o_i ~ lo + step * code_i, both scaled so that <o, o~> = |o|^2 (RaBitQ's correction,
// arXiv:2405.12497): the error of <q, o~> then grows with |q - o| only, not with |q|.
//
// sq4x8 is sq4 and 8 bits a dimension for what that leaves. The two parts can be stored apart: a walk
// reads the prefix (64 bytes at 100 dimensions), a refinement both.
#ifndef LARDER_INDEX_CODES_SCALAR_CODE_H_
#define LARDER_INDEX_CODES_SCALAR_CODE_H_

#include <memory>
#include <vector>

#include "index/codes/code.h"
#include "index/codes/frame.h"
#include "index/kernels/scalar_codes.h"

namespace larder::index {

// Learns the centre only: any sample of at least one row. ErrorBound holds for 99 of 100 vectors.
class ScalarCode final : public Code {
 public:
  ScalarCode(const CodeOptions& options, std::unique_ptr<Frame> frame);

  const CodeOptions& options() const override { return options_; }
  size_t bytes() const override { return prefix_bytes_ + residual_bytes_; }
  void Encode(const float* vector, uint8_t* code) const override;
  void Decode(const uint8_t* code, float* vector) const override;
  void Prepare(const float* query, CodeQuery* prepared) const override;
  // sq4x8: the full estimate.
  void Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const override;
  float ErrorBound(const CodeQuery& query, const uint8_t* code) const override;
  std::string Serialize() const override;

  // Whether distances from a code are numbers, whatever the query: true of what Encode writes for vectors with
  // norms below 1e16, not of any bytes. Reads the prefix only.
  bool IsSound(const uint8_t* code) const;

  // A code is its prefix and then its residual. sq8 and sq4 are all prefix.
  size_t prefix_bytes() const { return prefix_bytes_; }
  size_t residual_bytes() const { return residual_bytes_; }
  // By the prefix alone: integer arithmetic, the query in int8.
  void EstimatePrefix(const CodeQuery& query, const uint8_t* const* prefixes, size_t count, float* out) const;
  // sq4x8 only. The query in f32; prefixes[i] and residuals[i] belong to one vector.
  void EstimateFull(const CodeQuery& query, const uint8_t* const* prefixes, const uint8_t* const* residuals,
                    size_t count, float* out) const;
  // sq4x8 only: the vector in a rotated order of its own, `places()` floats, between any two of which
  // the metric's distance is that of the vectors (l2: both moved by the centre).
  size_t places() const { return RoundUp(options_.dimension, 128); }
  void DecodePlaces(const uint8_t* prefix, const uint8_t* residual, float* out) const;

 private:
  struct Factors {
    float lo = 0, step = 0, norm = 0;  // norm: |o|^2, stored under l2 only
  };
  bool nibbles() const { return options_.kind != CodeKind::kSq8; }
  size_t code_bytes() const { return nibbles() ? (options_.dimension + 1) / 2 : options_.dimension; }
  int levels() const { return nibbles() ? 15 : 255; }  // above lo
  Factors Quantize(const float* o, uint8_t* codes) const;
  void Correct(const float* o, const uint8_t* codes, Factors* factors) const;
  void EncodeResidual(const float* o, const uint8_t* codes, const Factors& factors, uint8_t* residual) const;
  Factors ReadFactors(const uint8_t* code) const;

  const CodeOptions options_;
  const std::unique_ptr<Frame> frame_;
  const ScalarKernels kernels_;
  const size_t prefix_bytes_;
  const size_t residual_bytes_;
  std::vector<float> centre_;  // sq4x8: rotated, by place
};

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_SCALAR_CODE_H_
