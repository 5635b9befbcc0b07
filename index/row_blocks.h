// Growable rows of f32 whose addresses never change.
#ifndef LARDER_INDEX_ROW_BLOCKS_H_
#define LARDER_INDEX_ROW_BLOCKS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace larder::index {

// Blocks of about 1 MiB: growing never copies, and pages past the last row stay untouched. Thread-compatible.
class RowBlocks {
 public:
  explicit RowBlocks(uint32_t dimension)
      : dimension_(dimension),
        shift_(std::bit_width(std::max<size_t>(1, kBlockBytes / (dimension * sizeof(float)))) - 1) {}

  size_t size() const { return size_; }
  const float* operator[](size_t row) const { return At(row); }
  // Room for `rows` rows. Throws std::bad_alloc, losing nothing.
  void Reserve(size_t rows) {
    while (blocks_.size() << shift_ < rows) {
      blocks_.push_back(std::make_unique_for_overwrite<float[]>(dimension_ << shift_));
    }
  }
  // An uninitialised row at the end, within what was reserved.
  float* Append() { return At(size_++); }
  // Rows that follow `row` in the same block, itself included, below size().
  size_t Contiguous(size_t row) const { return std::min(((row >> shift_) + 1) << shift_, size_) - row; }
  uint64_t bytes() const { return size_ * dimension_ * sizeof(float); }  // touched

 private:
  static constexpr size_t kBlockBytes = 1 << 20;
  float* At(size_t row) const {
    return blocks_[row >> shift_].get() + (row & ((size_t{1} << shift_) - 1)) * dimension_;
  }

  size_t dimension_;
  int shift_;  // log2 of the rows in a block
  size_t size_ = 0;
  std::vector<std::unique_ptr<float[]>> blocks_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_ROW_BLOCKS_H_
