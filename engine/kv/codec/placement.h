// Which rows of an entry are read and where each of them goes: a KvSelection and a KvTarget once they are
// known to be sound.
#ifndef LARDER_ENGINE_KV_CODEC_PLACEMENT_H_
#define LARDER_ENGINE_KV_CODEC_PLACEMENT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/kv_codec.h"

namespace larder::kv {

// Thread-safe. Points into the selection and the target.
class Placement {
 public:
  // InvalidArgument unless every selected row lies in the shape and every byte to write in the target.
  static absl::StatusOr<Placement> Make(const KvTensorShape& shape, const KvSelection& selection,
                                        const KvTarget& target);

  uint32_t count() const { return count_; }
  uint32_t first_head() const { return first_head_; }
  uint32_t heads() const { return heads_; }
  uint32_t Token(uint32_t n) const { return list_.empty() ? first_token_ + n : list_[n]; }
  // Where the n-th selected row's first head begins.
  std::byte* To(uint32_t n) const { return target_->data.data() + Offset(n); }

 private:
  absl::Status Select(const KvTensorShape& shape, const KvSelection& selection);
  absl::Status CheckTarget(const KvTensorShape& shape) const;
  absl::Status CheckBlocks(uint64_t row_end) const;
  uint64_t Offset(uint32_t n) const {
    const uint64_t slot = uint64_t{target_->first_slot} + n;
    if (target_->block_table.empty()) return slot * target_->token_stride;
    return target_->block_table[slot / target_->block_tokens] * target_->block_stride +
           slot % target_->block_tokens * target_->token_stride;
  }

  const KvTarget* target_ = nullptr;
  absl::Span<const uint32_t> list_;
  uint32_t first_token_ = 0, count_ = 0, first_head_ = 0, heads_ = 0;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_PLACEMENT_H_
