// hnswlib as its users have it: its own distances, compiled for this machine. Kept in a shared
// library of its own, so that none of its templates meet ours.
#ifndef LARDER_INDEX_BENCHMARK_PLAIN_HNSWLIB_H_
#define LARDER_INDEX_BENCHMARK_PLAIN_HNSWLIB_H_

#include <cstddef>
#include <cstdint>

namespace larder::index {

class PlainHnswlib {
 public:
  virtual ~PlainHnswlib() = default;
  virtual void Add(const float* row, uint64_t label) = 0;
  // Labels of the `k` nearest, in any order; returns their number.
  virtual size_t Search(const float* query, size_t k, size_t ef, uint64_t* labels) = 0;
};

// Inner product over rows that the caller has normalised.
__attribute__((visibility("default"))) PlainHnswlib* NewPlainHnswlib(size_t dimension, size_t capacity,
                                                                     size_t m, size_t ef_construction);

}  // namespace larder::index

#endif  // LARDER_INDEX_BENCHMARK_PLAIN_HNSWLIB_H_
