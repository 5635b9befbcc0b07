// f32 and f16: the vector itself. Learns nothing.
#ifndef LARDER_INDEX_CODES_PLAIN_CODE_H_
#define LARDER_INDEX_CODES_PLAIN_CODE_H_

#include "index/codes/code.h"
#include "index/kernels/distance.h"
#include "index/kernels/half.h"

namespace larder::index {

// f16 rounds to nearest and clips at 65,504. ErrorBound holds always (unless a number was clipped).
class PlainCode final : public Code {
 public:
  explicit PlainCode(const CodeOptions& options);

  const CodeOptions& options() const override { return options_; }
  size_t bytes() const override { return options_.dimension * (halves() ? 2 : 4); }
  void Encode(const float* vector, uint8_t* code) const override;
  void Decode(const uint8_t* code, float* vector) const override;
  void Prepare(const float* query, CodeQuery* prepared) const override;
  void Estimate(const CodeQuery& query, const uint8_t* const* codes, size_t count, float* out) const override;
  float ErrorBound(const CodeQuery& query, const uint8_t* code) const override;
  std::string Serialize() const override;

 private:
  bool halves() const { return options_.kind == CodeKind::kF16; }

  const CodeOptions options_;
  const DistanceKernels kernels_;
  const HalfBatch half_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_PLAIN_CODE_H_
