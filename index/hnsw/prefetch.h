// Fetching what a walk will read.
#ifndef LARDER_INDEX_HNSW_PREFETCH_H_
#define LARDER_INDEX_HNSW_PREFETCH_H_

#include <cstddef>
#include <cstdint>

namespace larder::index {

// Into L2, not L1: a core can wait for few lines on their way into L1 (some 13 on Zen 4) and then stalls
// at the next prefetch; on their way into L2 there are three times as many. Measured on random lines of
// 40 MB: 4.7 ns a line against 11.8; a walk at 384 dimensions takes 0.6 of the time.
inline void PrefetchLines(const void* begin, size_t bytes) {
  constexpr uintptr_t kLine = 64;
  const uintptr_t first = reinterpret_cast<uintptr_t>(begin);
  for (uintptr_t line = first & ~(kLine - 1); line < first + bytes; line += kLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(line), 0, 2);
  }
}

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_PREFETCH_H_
