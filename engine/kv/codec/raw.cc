// Rows that are kept as they came.
#include "engine/kv/codec/aligned_floats.h"
#include "engine/kv/codec/row_reader.h"

namespace larder::kv {
namespace {

class RawReader : public RowReader {
 public:
  RawReader(const KvTensorShape& shape, const char* payload, uint32_t first_head, uint32_t heads,
            const KvKernels& kernels)
      : from_(reinterpret_cast<const uint8_t*>(payload) + shape.ElementBytes() * first_head * shape.dim),
        row_bytes_(shape.RowBytes()),
        widen_(kernels.widen[static_cast<size_t>(shape.dtype)]),
        count_(static_cast<size_t>(heads) * shape.dim),
        rows_{AlignedFloats(count_ + kRowSlack), AlignedFloats(count_ + kRowSlack)} {}

  const float* Read(uint32_t token) override {
    last_ = 1 - last_;
    widen_(from_ + token * row_bytes_, count_, rows_[last_].data());
    return rows_[last_].data();
  }

 private:
  const uint8_t* const from_;
  const uint64_t row_bytes_;
  const KvKernels::Widen widen_;
  const size_t count_;
  AlignedFloats rows_[2];
  size_t last_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> MakeRawReader(const KvTensorShape& shape, const char* payload, uint32_t first_head,
                                         uint32_t heads, const KvKernels& kernels) {
  return std::make_unique<RawReader>(shape, payload, first_head, heads, kernels);
}

}  // namespace larder::kv
