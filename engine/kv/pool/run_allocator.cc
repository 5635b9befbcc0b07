#include "engine/kv/pool/run_allocator.h"

#include <algorithm>
#include <iterator>

namespace larder::kv {

RunAllocator::RunAllocator(uint64_t begin, uint64_t end) : begin_(begin), end_(end), free_bytes_(end - begin) {
  if (free_bytes_ > 0) free_.emplace(begin, free_bytes_);
}

std::optional<uint64_t> RunAllocator::Allocate(uint64_t length) {
  const auto it = std::find_if(free_.begin(), free_.end(), [&](const auto& run) { return run.second >= length; });
  if (it == free_.end() || length == 0) return std::nullopt;
  const auto [offset, found] = *it;
  free_.erase(it);
  if (found > length) free_.emplace(offset + length, found - length);
  free_bytes_ -= length;
  return offset;
}

void RunAllocator::Free(uint64_t offset, uint64_t length) {
  free_bytes_ += length;
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + length == next->first) {
    length += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += length;
      return;
    }
  }
  free_.emplace_hint(next, offset, length);
}

}  // namespace larder::kv
