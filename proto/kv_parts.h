// One layer's K and V as parts of bounded size, for streams whose messages must stay small, and back.
#ifndef LARDER_PROTO_KV_PARTS_H_
#define LARDER_PROTO_KV_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "larder/kv_types.h"
#include "larder/v1/kv.pb.h"

namespace larder {

inline constexpr size_t kKvPartBytes = size_t{1} << 20;

// Calls `send` with the parts of K, then of V, in order; stops and returns false once it does.
bool SplitLayer(uint32_t layer, absl::string_view k, absl::string_view v,
                const std::function<bool(v1::KvPart)>& send);

// Puts the parts of one layer together. Thread-compatible.
class LayerAssembler {
 public:
  // `max_bytes` bounds K and V together.
  explicit LayerAssembler(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // InvalidArgument for a part out of place, ResourceExhausted beyond max_bytes; after an error
  // the assembler is of no more use. Memory grows with what came, not with what was announced.
  absl::Status Add(const v1::KvPart& part);

  bool empty() const { return !started_; }
  bool complete() const { return v_started_ && layer_.v.size() == v_total_; }
  // Bytes announced so far, K and V.
  uint64_t announced_bytes() const { return k_total_ + v_total_; }
  // Only when complete; the assembler is as new afterwards.
  KvLayer Take();

 private:
  absl::Status Start(const v1::KvPart& part);
  absl::Status StartV(const v1::KvPart& part);
  absl::Status Append(const v1::KvPart& part);

  const uint64_t max_bytes_;
  KvLayer layer_;
  bool started_ = false, v_started_ = false;
  uint64_t k_total_ = 0, v_total_ = 0;
};

}  // namespace larder

#endif  // LARDER_PROTO_KV_PARTS_H_
