#include "engine/kv/codec/placement.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/kv/codec/element.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

// No sum or product of two of them overflows.
constexpr uint64_t kMaxStride = uint64_t{1} << 30, kMaxBlockStride = uint64_t{1} << 30;

// [first, first + count) of `all`, where 0 means all from the first.
absl::Status CheckRange(const char* what, uint32_t all, uint32_t first, uint32_t* count) {
  if (first < all && *count == 0) *count = all - first;
  if (first < all && *count <= all - first) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("kv decode: ", what, " ", first, " to ", uint64_t{first} + *count, " of ", all));
}

}  // namespace

absl::Status Placement::Select(const KvTensorShape& shape, const KvSelection& selection) {
  first_head_ = selection.first_head, heads_ = selection.heads;
  RETURN_IF_ERROR(CheckRange("heads", shape.heads, first_head_, &heads_));
  list_ = selection.token_list;
  if (list_.empty()) {
    first_token_ = selection.first_token, count_ = selection.tokens;
    return CheckRange("tokens", shape.tokens, first_token_, &count_);
  }
  if (selection.first_token != 0 || selection.tokens != 0) {
    return absl::InvalidArgumentError("kv decode: both a token list and a token range");
  }
  if (list_.size() > shape.tokens) {
    return absl::InvalidArgumentError(absl::StrCat("kv decode: ", list_.size(), " tokens listed of ", shape.tokens));
  }
  count_ = static_cast<uint32_t>(list_.size());
  const uint32_t last = *std::max_element(list_.begin(), list_.end());
  if (last < shape.tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv decode: token ", last, " of ", shape.tokens));
}

absl::Status Placement::CheckBlocks(uint64_t row_end) const {
  const KvTarget& t = *target_;
  if (t.block_tokens == 0 || t.block_stride > kMaxBlockStride) {
    return absl::InvalidArgumentError(absl::StrCat("kv decode: block_tokens ", t.block_tokens, ", block_stride ",
                                                   t.block_stride, ", expected at least 1 and at most ",
                                                   kMaxBlockStride));
  }
  const uint64_t end = uint64_t{t.first_slot} + count_;
  const uint64_t blocks = (end + t.block_tokens - 1) / t.block_tokens;
  if (blocks > t.block_table.size()) {
    return absl::InvalidArgumentError(absl::StrCat("kv decode: slots to ", end, " need ", blocks, " blocks of ",
                                                   t.block_tokens, ", the table has ", t.block_table.size()));
  }
  // Only slots that are written count: pages beside them may be anybody's.
  for (uint64_t block = t.first_slot / t.block_tokens; block < blocks; ++block) {
    const uint64_t slot = std::min(end - 1 - block * t.block_tokens, uint64_t{t.block_tokens} - 1);
    const uint64_t last = t.block_table[block] * t.block_stride + slot * t.token_stride + row_end;
    if (last > t.data.size()) {
      return absl::InvalidArgumentError(absl::StrCat("kv decode: block ", t.block_table[block], " ends at byte ", last,
                                                     ", the target has ", t.data.size()));
    }
  }
  return absl::OkStatus();
}

absl::Status Placement::CheckTarget(const KvTensorShape& shape) const {
  const KvTarget& t = *target_;
  if (static_cast<uint8_t>(t.dtype) > static_cast<uint8_t>(KvDtype::kBf16)) {
    return absl::InvalidArgumentError(absl::StrCat("kv decode: unknown dtype ", static_cast<int>(t.dtype)));
  }
  const uint64_t head_bytes = ElementBytes(t.dtype) * shape.dim;
  if (t.token_stride > kMaxStride || t.head_stride > kMaxStride || (heads_ > 1 && t.head_stride < head_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("kv decode: token_stride ", t.token_stride, ", head_stride ",
                                                   t.head_stride, ", expected at most ", kMaxStride,
                                                   ", and heads of ", head_bytes, " bytes apart"));
  }
  const uint64_t row_end = (heads_ - 1) * t.head_stride + head_bytes;
  if (!t.block_table.empty()) return CheckBlocks(row_end);
  const uint64_t last = (uint64_t{t.first_slot} + count_ - 1) * t.token_stride + row_end;
  if (last <= t.data.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("kv decode: rows end at byte ", last, ", the target has ", t.data.size()));
}

absl::StatusOr<Placement> Placement::Make(const KvTensorShape& shape, const KvSelection& selection,
                                          const KvTarget& target) {
  Placement placement;
  placement.target_ = &target;
  RETURN_IF_ERROR(placement.Select(shape, selection));
  RETURN_IF_ERROR(placement.CheckTarget(shape));
  return placement;
}

KvTarget ContiguousTarget(absl::Span<std::byte> data, KvDtype dtype, uint32_t heads, uint32_t dim) {
  KvTarget target;
  target.data = data, target.dtype = dtype;
  target.head_stride = ElementBytes(dtype) * dim;
  target.token_stride = target.head_stride * heads;
  return target;
}

}  // namespace larder::kv
