// Which bucket holds the n-th best of a walk's candidates (frontier.h): counts, and cursors that only go down.
#ifndef LARDER_INDEX_HNSW_BUCKET_COUNTS_H_
#define LARDER_INDEX_HNSW_BUCKET_COUNTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace larder::index {

// How many candidates count in each bucket, and in each 64 buckets, so that a run of empty ones is passed in one step.
class BucketCounts {
 public:
  static constexpr uint32_t kTogether = 64;

  explicit BucketCounts(size_t buckets) : one_(buckets, 0), together_(buckets / kTogether, 0) {}
  void Add(uint32_t key, bool counts) {
    one_[key] += counts;
    together_[key / kTogether] += counts;
  }
  void Clear(uint32_t key) { one_[key] = together_[key / kTogether] = 0; }  // all that hold any, or none
  uint32_t At(uint32_t key) const { return one_[key]; }
  uint32_t Together(uint32_t key) const { return together_[key / kTogether]; }

 private:
  std::vector<uint32_t> one_, together_;
};

// The bucket that holds the n-th best of what was counted.
struct Rank {
  size_t wanted = 1, counted = 0;  // counted: up to `limit`
  uint32_t limit = 0;
  bool known = false;  // whether there are n; until then `limit` is the last bucket that holds any

  void Count(uint32_t key, bool counts) {
    if (!known) limit = std::max(limit, key);
    if (key <= limit) counted += counts;
    known = known || counted >= wanted;
  }
  // To the n-th best of all that `counts` holds.
  void Lower(const BucketCounts& counts) {
    constexpr uint32_t kTogether = BucketCounts::kTogether;
    while (known && limit > 0) {
      const bool many = limit % kTogether == kTogether - 1 && limit >= kTogether &&
                        counted - counts.Together(limit) >= wanted;
      const uint32_t last = many ? counts.Together(limit) : counts.At(limit);
      if (counted - last < wanted) return;
      counted -= last;
      limit -= many ? kTogether : 1;
    }
  }
  void Forget() { *this = {wanted}; }
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_BUCKET_COUNTS_H_
