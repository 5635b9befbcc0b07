#include "client/cuda/decode.h"

#include <new>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cuda/decode_kernel.h"
#include "engine/kv/codec/decode_plan.h"
#include "storage/status_macros.h"

namespace larder::cuda {
namespace {

using kv::DecodePlan;

absl::Status StatusOf(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text = absl::StrCat("cuda: ", what, ": ", cudaGetErrorString(error));
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

// The rows and steps of a call on their way to the device, freed once the stream has passed the kernel.
class Upload {
 public:
  explicit Upload(cudaStream_t stream) : stream_(stream) {}
  ~Upload() {
    if (memory_ != nullptr) cudaFreeAsync(memory_, stream_);
  }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  absl::Status Send(const std::vector<DeviceRow>& rows, const float (&steps)[256]) {
    const size_t row_bytes = rows.size() * sizeof(DeviceRow);
    RETURN_IF_ERROR(StatusOf(cudaMallocAsync(&memory_, row_bytes + sizeof(steps), stream_), "memory for rows"));
    // From pageable memory: copied before the call returns.
    RETURN_IF_ERROR(StatusOf(cudaMemcpyAsync(memory_, rows.data(), row_bytes, cudaMemcpyHostToDevice, stream_), "rows"));
    return StatusOf(cudaMemcpyAsync(static_cast<char*>(memory_) + row_bytes, steps, sizeof(steps),
                                    cudaMemcpyHostToDevice, stream_), "steps");
  }
  const DeviceRow* rows() const { return static_cast<const DeviceRow*>(memory_); }
  const float* steps(size_t count) const { return reinterpret_cast<const float*>(rows() + count); }

 private:
  const cudaStream_t stream_;
  void* memory_ = nullptr;
};

// The device loads and stores elements only where they are aligned.
absl::Status CheckAlignment(absl::string_view payload, const kv::KvTarget& target) {
  const uint64_t element = target.dtype == KvDtype::kF32 ? 4 : 2;
  const uint64_t edges = reinterpret_cast<uintptr_t>(target.data.data()) | target.token_stride | target.head_stride |
                         target.block_stride;
  if (reinterpret_cast<uintptr_t>(payload.data()) % 4 == 0 && edges % element == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cuda: expected a payload at a multiple of 4 bytes, a target and strides at multiples of ", element));
}

std::vector<DeviceRow> RowsOf(const DecodePlan& plan, const kv::RopeTable* rope, const kv::KvTarget& target) {
  std::vector<DeviceRow> rows(plan.placement.count());
  for (uint32_t n = 0; n < rows.size(); ++n) {
    const uint32_t token = plan.placement.Token(n);
    const kv::PlannedRow& from = plan.rows[token];
    rows[n].from = from.at, rows[n].bits = from.bits, rows[n].outliers = from.outliers;
    rows[n].to = static_cast<uint64_t>(plan.placement.To(n) - target.data.data());
    rows[n].coded = from.bits == 0 ? 0 : token - plan.header.exact_tokens;
    if (rope != nullptr) rows[n].rope = rope->RowNumber(token);
  }
  return rows;
}

DecodeArguments ArgumentsOf(const DecodePlan& plan, const DeviceRope* rope, const kv::KvTarget& target) {
  const kv::PayloadLayout& layout = plan.layout;
  DecodeArguments a;
  a.row_count = plan.placement.count(), a.heads = plan.placement.heads(), a.first_head = plan.placement.first_head();
  a.all_heads = plan.shape.heads, a.dim = plan.shape.dim;
  a.columns_at = layout.columns_at, a.groups_at = layout.groups, a.counts_at = layout.counts;
  a.places_at = layout.places, a.values_at = layout.values, a.stripes = layout.stripes;
  a.column_unit = plan.header.column_unit;
  a.keys = plan.header.side == static_cast<uint8_t>(kv::KvSide::kKey);
  a.from_dtype = static_cast<uint8_t>(plan.shape.dtype), a.to_dtype = static_cast<uint8_t>(target.dtype);
  a.target = reinterpret_cast<uint8_t*>(target.data.data()), a.head_stride = target.head_stride;
  if (rope == nullptr) return a;
  a.rope = rope->data(), a.rotary_dim = rope->table().rotary_dim();
  a.rope_stride = static_cast<uint32_t>(rope->table().stride());
  a.interleaved = rope->table().style() == RopeStyle::kInterleaved;
  return a;
}

}  // namespace

absl::Status CheckDevice() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("no CUDA device: ", cudaGetErrorString(error)));
}

absl::StatusOr<DeviceRope> DeviceRope::Make(kv::RopeTable table) {
  void* memory = nullptr;
  const size_t bytes = table.data().size() * sizeof(float);
  RETURN_IF_ERROR(StatusOf(cudaMalloc(&memory, bytes), "memory for a rope table"));
  DeviceRope rope(std::move(table), memory);
  RETURN_IF_ERROR(StatusOf(cudaMemcpy(memory, rope.table().data().data(), bytes, cudaMemcpyHostToDevice), "rope table"));
  return rope;
}

absl::Status DecodeKv(absl::string_view codec, kv::KvSide side, const kv::KvTensorShape& shape,
                      absl::string_view payload, const kv::KvSelection& selection, const DeviceRope* rope,
                      const kv::KvTarget& target, cudaStream_t stream) {
  if (rope != nullptr && rope->table().style() == RopeStyle::kNone) rope = nullptr;
  const kv::RopeTable* table = rope == nullptr ? nullptr : &rope->table();
  ASSIGN_OR_RETURN(const DecodePlan plan, kv::PlanDecode(codec, side, shape, payload, selection, table, target));
  RETURN_IF_ERROR(CheckAlignment(payload, target));
  void* on_device = nullptr;
  RETURN_IF_ERROR(StatusOf(cudaHostGetDevicePointer(&on_device, const_cast<char*>(payload.data()), 0),
                           "the payload is not in pinned memory"));
  try {
    DecodeArguments arguments = ArgumentsOf(plan, rope, target);
    const std::vector<DeviceRow> rows = RowsOf(plan, table, target);
    float steps[256];
    kv::FillSteps(plan.header.group_unit, steps);
    Upload upload(stream);
    RETURN_IF_ERROR(upload.Send(rows, steps));
    arguments.payload = static_cast<const uint8_t*>(on_device);
    arguments.rows = upload.rows(), arguments.steps = upload.steps(rows.size());
    return StatusOf(LaunchDecode(arguments, stream), "launch");
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("cuda: no memory for the rows of a call");
  }
}

}  // namespace larder::cuda
