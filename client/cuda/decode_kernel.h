// The kernel's arguments, without Abseil, which nvcc need not read.
#ifndef LARDER_CLIENT_CUDA_DECODE_KERNEL_H_
#define LARDER_CLIENT_CUDA_DECODE_KERNEL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace larder::cuda {

// One selected token: where its numbers are in the payload, where they go in the target. Both in bytes.
struct DeviceRow {
  uint64_t from = 0, to = 0;
  uint32_t bits = 0;      // of a code; 0 = elements
  uint32_t outliers = 0;  // before this row
  uint32_t coded = 0;     // number among the coded tokens
  uint32_t rope = 0;      // row of the rope table
};

// All pointers are readable by the device; `payload` may lie in pinned host memory.
struct DecodeArguments {
  const uint8_t* payload = nullptr;
  const DeviceRow* rows = nullptr;
  const float* steps = nullptr;  // values: 256 of them
  const float* rope = nullptr;   // null = no rotation
  uint8_t* target = nullptr;
  uint32_t row_count = 0, heads = 0, first_head = 0, all_heads = 0, dim = 0;
  uint32_t rotary_dim = 0, rope_stride = 0;
  uint64_t head_stride = 0;
  uint64_t columns_at = 0, groups_at = 0, counts_at = 0, places_at = 0, values_at = 0;  // in the payload
  uint32_t stripes = 0;
  float column_unit = 0;
  uint8_t keys = 0, interleaved = 0, from_dtype = 0, to_dtype = 0;  // KvDtype
};

// A block of threads for each head of each row.
cudaError_t LaunchDecode(const DecodeArguments& arguments, cudaStream_t stream);

}  // namespace larder::cuda

#endif  // LARDER_CLIENT_CUDA_DECODE_KERNEL_H_
