#include "index/tree/vector_pages.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "index/kernels/half.h"
#include "storage/crc32c.h"

namespace larder::index {
namespace {

constexpr size_t kBlockBytes = 4096, kCheckBytes = 4;

}  // namespace

VectorPages::VectorPages(uint32_t dimension_in, RowElement element_in)
    : dimension(dimension_in), element(element_in),
      row_bytes_(sizeof(Vid) + size_t{dimension_in} * (element_in == RowElement::kF16 ? 2 : 4)),
      page_bytes_((row_bytes_ + kCheckBytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes),
      rows_per_page_(static_cast<uint32_t>((page_bytes_ - kCheckBytes) / row_bytes_)) {}

uint64_t VectorPages::GroupBytes(uint32_t rows) const {
  return (uint64_t{rows} + rows_per_page_ - 1) / rows_per_page_ * page_bytes_;
}

void VectorPages::EncodeRow(Vid vid, const float* vector, uint8_t* row) const {
  std::memcpy(row, &vid, sizeof(vid));
  row += sizeof(vid);
  if (element == RowElement::kF32) {
    std::memcpy(row, vector, size_t{dimension} * sizeof(float));
    return;
  }
  for (uint32_t i = 0; i < dimension; ++i) {
    const uint16_t half = HalfFromFloat(vector[i]);
    std::memcpy(row + 2 * i, &half, sizeof(half));
  }
}

Vid VectorPages::DecodeRow(const uint8_t* row, float* vector) const {
  Vid vid;
  std::memcpy(&vid, row, sizeof(vid));
  row += sizeof(vid);
  if (element == RowElement::kF32) {
    std::memcpy(vector, row, size_t{dimension} * sizeof(float));
    return vid;
  }
  for (uint32_t i = 0; i < dimension; ++i) {
    uint16_t half;
    std::memcpy(&half, row + 2 * i, sizeof(half));
    vector[i] = FloatFromHalf(half);
  }
  return vid;
}

std::string VectorPages::Encode(absl::Span<const Vid> vids, const float* rows) const {
  std::string group(GroupBytes(static_cast<uint32_t>(vids.size())), '\0');
  uint8_t* out = reinterpret_cast<uint8_t*>(group.data());
  for (size_t i = 0; i < vids.size(); ++i) {
    EncodeRow(vids[i], rows + i * dimension,
              out + i / rows_per_page_ * page_bytes_ + i % rows_per_page_ * row_bytes_);
  }
  for (size_t page = 0; page < group.size(); page += page_bytes_) {
    const uint32_t crc = storage::Crc32c(absl::string_view(group).substr(page, page_bytes_ - kCheckBytes));
    std::memcpy(out + page + page_bytes_ - kCheckBytes, &crc, kCheckBytes);
  }
  return group;
}

storage::ExtentPointer VectorPages::PagePointer(const storage::ExtentPointer& group, uint32_t page) const {
  return {.file = group.file, .offset = group.offset + uint64_t{page} * page_bytes_, .length = page_bytes_,
          .crc32c = kPageResidue};
}

absl::StatusOr<const uint8_t*> VectorPages::Row(absl::string_view page, uint32_t position, Vid vid) const {
  const uint8_t* row = reinterpret_cast<const uint8_t*>(page.data()) + position % rows_per_page_ * row_bytes_;
  Vid found;
  std::memcpy(&found, row, sizeof(found));
  if (found == vid) return row;
  return absl::DataLossError(absl::StrCat("vector page: row ", position, " holds vid ", found, ", expected ", vid));
}

const uint8_t* VectorPages::RowOfGroup(absl::string_view group, uint32_t position) const {
  return reinterpret_cast<const uint8_t*>(group.data()) + position / rows_per_page_ * page_bytes_ +
         position % rows_per_page_ * row_bytes_;
}

}  // namespace larder::index
