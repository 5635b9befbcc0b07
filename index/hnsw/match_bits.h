// The elements that match a filter, a bit each: a walk tests some ten thousand, and has no time to look up vids.
#ifndef LARDER_INDEX_HNSW_MATCH_BITS_H_
#define LARDER_INDEX_HNSW_MATCH_BITS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace larder::index {

// Thread-compatible. Keeps its memory from walk to walk.
class MatchBits {
 public:
  void Clear(size_t elements) { words_.assign(elements / 64 + 2, 0); }
  void Set(uint32_t id) { words_[id / 64] |= uint64_t{1} << id % 64; }
  // Bit i of `bits` stands for element id + i.
  void Set(uint32_t id, uint64_t bits) {
    const unsigned shift = id % 64;
    words_[id / 64] |= bits << shift;
    if (shift > 0) words_[id / 64 + 1] |= bits >> (64 - shift);
  }
  bool Has(uint32_t id) const { return words_[id / 64] >> id % 64 & 1; }

  // About `count` of them, spread over all.
  void Sample(size_t count, std::vector<uint32_t>* ids) const {
    ids->clear();
    const size_t step = words_.size() / count + 1;
    for (size_t first = 0; first < words_.size(); first += step) {
      for (size_t w = first; w < first + step && w < words_.size(); ++w) {
        if (words_[w] == 0) continue;
        ids->push_back(static_cast<uint32_t>(w * 64 + std::countr_zero(words_[w])));
        break;
      }
    }
  }
  uint64_t bytes() const { return words_.capacity() * sizeof(uint64_t); }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_MATCH_BITS_H_
