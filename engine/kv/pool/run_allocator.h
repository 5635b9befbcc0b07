// Runs of pages within a segment: first fit, neighbours joined when they are freed.
#ifndef LARDER_ENGINE_KV_POOL_RUN_ALLOCATOR_H_
#define LARDER_ENGINE_KV_POOL_RUN_ALLOCATOR_H_

#include <cstdint>
#include <map>
#include <optional>

namespace larder::kv {

// Offsets and lengths are multiples of kSegmentPage. Single-threaded.
class RunAllocator {
 public:
  RunAllocator(uint64_t begin, uint64_t end);

  // The lowest run that is long enough; nothing if there is none.
  std::optional<uint64_t> Allocate(uint64_t length);
  // Exactly what Allocate gave.
  void Free(uint64_t offset, uint64_t length);

  uint64_t capacity() const { return end_ - begin_; }
  uint64_t free_bytes() const { return free_bytes_; }

 private:
  const uint64_t begin_, end_;
  uint64_t free_bytes_;
  std::map<uint64_t, uint64_t> free_;  // offset -> length
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_RUN_ALLOCATOR_H_
