// Full vectors, for the exact ranking of few: groups of rows that lie near each other, in pages that are read
// and checked one by one.
//
// A group is one extent: pages of `page_bytes`, a multiple of 4 KiB. A page holds `rows_per_page` rows, then zeros,
// then in its last 4 bytes the crc32c of what is before them, little endian. So the crc32c of a whole page is the
// same for every page (kPageResidue), and a pointer to a page needs no checksum of its own. A row: vid u64, then
// `dimension` numbers, f16 or f32, little endian.
#ifndef LARDER_INDEX_TREE_VECTOR_PAGES_H_
#define LARDER_INDEX_TREE_VECTOR_PAGES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/vector_index.h"
#include "storage/extent_store.h"

namespace larder::index {

// Numbers are part of the format.
enum class RowElement : uint8_t { kF16 = 1, kF32 = 2 };

constexpr uint32_t kPageResidue = 0x48674BC7;
constexpr uint32_t kMaxGroupRows = 1 << 16;  // a slot is a u16

// The layout; a value.
class VectorPages {
 public:
  VectorPages(uint32_t dimension, RowElement element);

  size_t row_bytes() const { return row_bytes_; }
  uint32_t rows_per_page() const { return rows_per_page_; }
  size_t page_bytes() const { return page_bytes_; }
  uint64_t GroupBytes(uint32_t rows) const;

  // One group: vids.size() rows of `dimension` floats, at most kMaxGroupRows.
  std::string Encode(absl::Span<const Vid> vids, const float* rows) const;
  // A row alone, as groups and spills hold it.
  void EncodeRow(Vid vid, const float* vector, uint8_t* row) const;
  Vid DecodeRow(const uint8_t* row, float* vector) const;

  // The page that holds a row of the extent (vector_group.h: not always its slot).
  uint32_t PageOf(uint32_t position) const { return position / rows_per_page_; }
  storage::ExtentPointer PagePointer(const storage::ExtentPointer& group, uint32_t page) const;
  // `page`: checked bytes of PageOf(position). DataLoss if the row is not `vid`'s.
  absl::StatusOr<const uint8_t*> Row(absl::string_view page, uint32_t position, Vid vid) const;
  // Of a whole group that was read.
  const uint8_t* RowOfGroup(absl::string_view group, uint32_t position) const;
  const uint8_t* Numbers(const uint8_t* row) const { return row + sizeof(Vid); }

  const uint32_t dimension;
  const RowElement element;

 private:
  size_t row_bytes_, page_bytes_;
  uint32_t rows_per_page_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_VECTOR_PAGES_H_
