// One layer's tensors on their way into an entry and out of it: what a profile and a request ask of the
// codec (larder/kv_codec.h).
#ifndef LARDER_ENGINE_KV_KV_PAYLOAD_H_
#define LARDER_ENGINE_KV_KV_PAYLOAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/kv_entry.h"
#include "larder/kv_codec.h"
#include "larder/kv_types.h"

namespace larder::kv {

KvTensorShape ShapeOf(const KvProfile& profile, uint32_t tokens);

// InvalidArgument naming the field of `form` that is not the profile's, or not the tokens'.
absl::Status CheckForm(const KvForm& form, const KvProfile& profile, size_t tokens);

// Thread-safe.
class LayerEncoder {
 public:
  // InvalidArgument if `rotated_from` is missing or out of place for the profile.
  static absl::StatusOr<LayerEncoder> Make(const KvProfile& profile, uint32_t tokens,
                                           std::optional<uint32_t> rotated_from);

  // The payload: the tensor itself where it is kept as it is given, else *buffer, which it fills.
  // `saliency`: a number a token, or none.
  absl::StatusOr<absl::string_view> Encode(KvSide side, absl::string_view tensor,
                                           absl::Span<const float> saliency, std::string* buffer) const;
  // Where K stays rotated to in what is kept.
  std::optional<uint32_t> kept_rotated() const { return kept_rotated_; }

 private:
  std::string codec_;
  KvTensorShape shape_;
  KvRope rope_;
  std::optional<uint32_t> unrotate_from_, kept_rotated_;
};

// Thread-compatible.
class LayerDecoder {
 public:
  // InvalidArgument naming what of the request does not fit the entry.
  static absl::StatusOr<LayerDecoder> Make(const KvProfile& profile, const EntryHeader& header,
                                           const KvReadRequest& request);

  // Replaces a payload by what was asked for. DataLoss if it is not one of the profile's.
  absl::Status Decode(KvSide side, std::string* payload);

 private:
  absl::Status Select(const KvReadRequest& request);
  absl::Status Rotate(const KvProfile& profile, const EntryHeader& header, uint32_t rotate_to);
  bool AsKept(KvSide side) const;

  std::string codec_, scratch_;
  KvTensorShape shape_;
  KvSelection selection_;
  std::vector<uint32_t> token_list_;
  std::optional<RopeTable> rotation_;
  bool encoded_ = false;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PAYLOAD_H_
