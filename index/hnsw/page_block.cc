#include "index/hnsw/page_block.h"

#include <sys/mman.h>

#include <cstdint>

namespace larder::index {
namespace {

constexpr size_t kHugePage = 2 << 20;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// A range of addresses, aligned to huge pages if it is as long as one; null if there is none.
char* Reserve(size_t size) {
  const size_t slack = size >= kHugePage ? kHugePage : 0;
  void* range =
      mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(range);
  if (slack == 0) return begin;
  char* aligned = reinterpret_cast<char*>(RoundUp(reinterpret_cast<uintptr_t>(begin), kHugePage));
  if (aligned > begin) munmap(begin, aligned - begin);
  char* end = begin + size + slack;
  if (end > aligned + size) munmap(aligned + size, end - (aligned + size));
  madvise(aligned, size, MADV_HUGEPAGE);  // best effort
  return aligned;
}

}  // namespace

PageBlock::~PageBlock() {
  if (data_ != nullptr) munmap(data_, size_);
}

bool PageBlock::Grow(size_t size) {
  if (size <= size_) return true;
  size = RoundUp(size, size >= kHugePage ? kHugePage : 4096);
  char* larger = Reserve(size);
  if (larger == nullptr) return false;
  if (data_ != nullptr) {
    // Replaces the head of the new range by the old pages.
    if (mremap(data_, size_, size_, MREMAP_MAYMOVE | MREMAP_FIXED, larger) == MAP_FAILED) {
      munmap(larger, size);
      return false;
    }
    if (size >= kHugePage) madvise(larger, size, MADV_HUGEPAGE);
  }
  data_ = larger;
  size_ = size;
  return true;
}

}  // namespace larder::index
