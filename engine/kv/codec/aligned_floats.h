// Scratch for kernels: floats that begin at a vector's alignment, all zero.
#ifndef LARDER_ENGINE_KV_CODEC_ALIGNED_FLOATS_H_
#define LARDER_ENGINE_KV_CODEC_ALIGNED_FLOATS_H_

#include <cstddef>
#include <cstring>
#include <new>

#include "hwy/aligned_allocator.h"

namespace larder::kv {

class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(size_t size) : data_(hwy::AllocateAligned<float>(size)) {
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(data_.get(), 0, size * sizeof(float));
  }
  float& operator[](size_t i) { return data_[i]; }
  const float& operator[](size_t i) const { return data_[i]; }
  float* data() const { return data_.get(); }

 private:
  hwy::AlignedFreeUniquePtr<float[]> data_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_ALIGNED_FLOATS_H_
