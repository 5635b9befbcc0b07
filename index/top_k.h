// The k nearest seen so far.
#ifndef LARDER_INDEX_TOP_K_H_
#define LARDER_INDEX_TOP_K_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "index/vector_index.h"

namespace larder::index {

// A bounded max-heap; ties go to the smaller vid. Thread-compatible.
class TopK {
 public:
  // `k` > 0. `expected`: no more than so many will be pushed; reserves no more than that.
  TopK(size_t k, size_t expected) : k_(k) { heap_.reserve(std::min(k, expected)); }

  // Anything farther need not be pushed.
  float worst() const {
    return heap_.size() < k_ ? std::numeric_limits<float>::infinity() : heap_.front().distance;
  }
  void Push(Neighbor neighbor) {
    if (heap_.size() < k_) {
      heap_.push_back(neighbor);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (neighbor < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = neighbor;
      std::push_heap(heap_.begin(), heap_.end());
    }
  }
  size_t size() const { return heap_.size(); }
  // Best first.
  std::vector<Neighbor> Take() && {
    std::sort_heap(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  size_t k_;
  std::vector<Neighbor> heap_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TOP_K_H_
