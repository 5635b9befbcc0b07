// One growing run of memory whose growth copies nothing: the pages are moved to a larger range of
// addresses. Large blocks ask for huge pages, without which a walk over random rows misses the TLB
// at every step.
#ifndef LARDER_INDEX_HNSW_PAGE_BLOCK_H_
#define LARDER_INDEX_HNSW_PAGE_BLOCK_H_

#include <cstddef>
#include <utility>

namespace larder::index {

// Zeroed memory; pages that were never touched cost nothing. Thread-compatible.
class PageBlock {
 public:
  PageBlock() = default;
  ~PageBlock();
  PageBlock(PageBlock&& other) noexcept : PageBlock() { *this = std::move(other); }
  PageBlock& operator=(PageBlock&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  // At least `size` bytes, never fewer than before; false (and unchanged) if there is no memory.
  // Moves data().
  bool Grow(size_t size);
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_PAGE_BLOCK_H_
