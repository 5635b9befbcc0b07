// Payloads of larder_kv_codec from (pinned) host memory into pages of a GPU, by one kernel: dequantise, rotate,
// scatter. Built where nvcc is found. The numbers are those of DecodeKv.
#ifndef LARDER_CLIENT_CUDA_DECODE_H_
#define LARDER_CLIENT_CUDA_DECODE_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/kv_codec.h"

namespace larder::cuda {

// Unavailable, with the runtime's reason, where no GPU can be used.
absl::Status CheckDevice();

struct DeviceFree {
  void operator()(void* memory) const { cudaFree(memory); }
};

// A rope table in device memory, for all layers of a read. Thread-safe.
class DeviceRope {
 public:
  static absl::StatusOr<DeviceRope> Make(kv::RopeTable table);
  const kv::RopeTable& table() const { return table_; }
  const float* data() const { return static_cast<const float*>(memory_.get()); }

 private:
  DeviceRope(kv::RopeTable table, void* memory) : table_(std::move(table)), memory_(memory) {}
  kv::RopeTable table_;
  std::unique_ptr<void, DeviceFree> memory_;
};

// As kv::DecodeKv, but `target.data` lies in device memory and is written in the order of `stream`: when this
// returns, the work is queued. `payload` must be readable by host and device (cudaHostAlloc, cudaHostRegister), begin at
// a multiple of 4 bytes, and stay until the stream has passed. Elements must be aligned in the target.
absl::Status DecodeKv(absl::string_view codec, kv::KvSide side, const kv::KvTensorShape& shape,
                      absl::string_view payload, const kv::KvSelection& selection, const DeviceRope* rope,
                      const kv::KvTarget& target, cudaStream_t stream);

}  // namespace larder::cuda

#endif  // LARDER_CLIENT_CUDA_DECODE_H_
