// Dequantise, rotate, scatter in one pass. Every operation is rounded as the CPU's, so that the results are equal.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "client/cuda/decode_kernel.h"

namespace larder::cuda {
namespace {

constexpr uint32_t kF32 = 0, kF16 = 1;
constexpr uint32_t kBlockBytes = 16, kStripeColumns = 256;
constexpr float kNarrowStep = 2.75f;
constexpr uint32_t kThreads = 128;

__device__ float LoadElement(uint32_t dtype, const uint8_t* from) {
  if (dtype == kF32) return *reinterpret_cast<const float*>(from);
  const uint16_t bits = *reinterpret_cast<const uint16_t*>(from);
  return dtype == kF16 ? __half2float(__ushort_as_half(bits)) : __bfloat162float(__ushort_as_bfloat16(bits));
}

__device__ void StoreElement(uint32_t dtype, float value, uint8_t* to) {
  if (dtype == kF32) {
    *reinterpret_cast<float*>(to) = value;
    return;
  }
  *reinterpret_cast<uint16_t*>(to) =
      dtype == kF16 ? __half_as_ushort(__float2half_rn(value)) : __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

__device__ uint32_t ElementBytes(uint32_t dtype) { return dtype == kF32 ? 4 : 2; }

__device__ float LoadCode(const uint8_t* row, uint32_t bits, uint64_t column) {
  const uint32_t per_block = kBlockBytes * 8 / bits, place = column % per_block;
  const uint32_t byte = row[column / per_block * kBlockBytes + place % kBlockBytes];
  return static_cast<float>(byte >> place / kBlockBytes * bits & ((1u << bits) - 1));
}

__device__ float KeyNumber(const DecodeArguments& a, const DeviceRow& row, uint64_t column) {
  const uint8_t* code = a.payload + a.columns_at + 4 * column;
  float scale = __fmul_rn(a.column_unit, LoadElement(kF16, code));
  float zero = __fmul_rn(a.column_unit, LoadElement(kF16, code + 2));
  if (row.bits == 2) {
    zero = __fadd_rn(zero, __fmul_rn(7.5f - 1.5f * kNarrowStep, scale));
    scale = __fmul_rn(kNarrowStep, scale);
  }
  return __fmaf_rn(LoadCode(a.payload + row.from, row.bits, column), scale, zero);
}

__device__ float ValueNumber(const DecodeArguments& a, const DeviceRow& row, uint32_t head, uint64_t column) {
  const uint8_t* group = a.payload + a.groups_at + 2 * (uint64_t{row.coded} * a.all_heads + head);
  const float step = a.steps[group[0]];
  const float zero_step = -(static_cast<float>((1u << row.bits) - 1) / 255);
  const float zero = __fmul_rn(step, __fmul_rn(static_cast<float>(group[1]), zero_step));
  const float mean = __fmul_rn(a.column_unit, LoadElement(kF16, a.payload + a.columns_at + 2 * column));
  return __fmaf_rn(LoadCode(a.payload + row.from, row.bits, column), step, __fadd_rn(mean, zero));
}

// The head's numbers into shared memory.
__device__ void LoadHead(const DecodeArguments& a, const DeviceRow& row, uint32_t head, float* numbers) {
  const uint64_t first = uint64_t{head} * a.dim;
  for (uint32_t i = threadIdx.x; i < a.dim; i += blockDim.x) {
    const uint64_t column = first + i;
    numbers[i] = row.bits == 0 ? LoadElement(a.from_dtype, a.payload + row.from + column * ElementBytes(a.from_dtype))
                 : a.keys      ? KeyNumber(a, row, column)
                               : ValueNumber(a, row, head, column);
  }
}

// Those outliers of the row that lie in the head.
__device__ void PatchHead(const DecodeArguments& a, const DeviceRow& row, uint32_t head, float* numbers) {
  const uint64_t first = uint64_t{head} * a.dim, last = first + a.dim;
  const uint8_t* counts = a.payload + a.counts_at + uint64_t{row.coded} * a.stripes;
  uint64_t outlier = row.outliers;
  for (uint64_t stripe = 0; stripe * kStripeColumns < last; outlier += counts[stripe++]) {
    if ((stripe + 1) * kStripeColumns <= first) continue;
    for (uint32_t i = threadIdx.x; i < counts[stripe]; i += blockDim.x) {
      const uint64_t column = stripe * kStripeColumns + a.payload[a.places_at + outlier + i];
      if (column < first || column >= last) continue;
      numbers[column - first] =
          LoadElement(a.from_dtype, a.payload + a.values_at + (outlier + i) * ElementBytes(a.from_dtype));
    }
  }
}

__device__ void PlaceHead(const DecodeArguments& a, const DeviceRow& row, const float* numbers, uint8_t* to) {
  const uint32_t size = ElementBytes(a.to_dtype), half = a.rotary_dim / 2;
  const float* rope = a.rope + uint64_t{row.rope} * a.rope_stride;
  const uint32_t turned = a.rope == nullptr ? 0 : a.rotary_dim;
  for (uint32_t i = threadIdx.x; i < turned / 2; i += blockDim.x) {
    const uint32_t at = a.interleaved ? 2 * i : i, pair = a.interleaved ? 2 * i + 1 : half + i;
    const float x = numbers[at], y = numbers[pair];
    const float cosine = a.interleaved ? rope[2 * i] : rope[i];
    const float sine = a.interleaved ? rope[a.rotary_dim + 2 * i + 1] : rope[half + i];
    StoreElement(a.to_dtype, __fmaf_rn(-y, sine, __fmul_rn(x, cosine)), to + at * size);
    StoreElement(a.to_dtype, __fmaf_rn(x, sine, __fmul_rn(y, cosine)), to + pair * size);
  }
  for (uint32_t i = turned + threadIdx.x; i < a.dim; i += blockDim.x) {
    StoreElement(a.to_dtype, numbers[i], to + i * size);
  }
}

__global__ void Decode(const DecodeArguments a) {
  extern __shared__ float numbers[];
  const DeviceRow row = a.rows[blockIdx.x];
  const uint32_t head = a.first_head + blockIdx.y;
  LoadHead(a, row, head, numbers);
  if (row.bits != 0) {
    __syncthreads();
    PatchHead(a, row, head, numbers);
  }
  __syncthreads();
  PlaceHead(a, row, numbers, a.target + row.to + blockIdx.y * a.head_stride);
}

}  // namespace

cudaError_t LaunchDecode(const DecodeArguments& arguments, cudaStream_t stream) {
  const dim3 grid(arguments.row_count, arguments.heads);
  Decode<<<grid, kThreads, arguments.dim * sizeof(float), stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace larder::cuda
