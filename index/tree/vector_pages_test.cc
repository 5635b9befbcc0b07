#include "index/tree/vector_pages.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "index/test_vectors.h"
#include "storage/crc32c.h"

namespace larder::index {
namespace {

TEST(VectorPages, LaysOutRows) {
  const VectorPages f16(384, RowElement::kF16), f32(384, RowElement::kF32), wide(3072, RowElement::kF32);
  EXPECT_EQ(f16.rows_per_page(), 5u);
  EXPECT_EQ(f32.rows_per_page(), 2u);
  EXPECT_EQ(f16.page_bytes(), 4096u);
  EXPECT_EQ(wide.page_bytes(), 16384u);
  EXPECT_EQ(wide.rows_per_page(), 1u);
  EXPECT_EQ(f16.GroupBytes(11), 3u * 4096);
}

TEST(VectorPages, EveryPageChecksItself) {
  for (const RowElement element : {RowElement::kF16, RowElement::kF32}) {
    const VectorPages pages(100, element);
    std::vector<float> rows = ClusteredVectors(50, 100, 3);
    std::vector<Vid> vids(50);
    for (size_t i = 0; i < 50; ++i) vids[i] = 77 + 3 * i;
    const std::string group = pages.Encode(vids, rows.data());
    const storage::ExtentPointer pointer{.file = 3, .offset = 8192, .length = group.size(), .crc32c = 1};
    std::vector<float> row(100);
    for (uint16_t slot = 0; slot < 50; ++slot) {
      const storage::ExtentPointer page = pages.PagePointer(pointer, pages.PageOf(slot));
      const absl::string_view bytes = absl::string_view(group).substr(page.offset - pointer.offset, page.length);
      EXPECT_EQ(storage::Crc32c(bytes), page.crc32c) << "slot " << slot;
      const auto found = pages.Row(bytes, slot, vids[slot]);
      ASSERT_TRUE(found.ok());
      EXPECT_EQ(pages.DecodeRow(*found, row.data()), vids[slot]);
      EXPECT_EQ(pages.RowOfGroup(group, slot) - reinterpret_cast<const uint8_t*>(group.data()),
                *found - reinterpret_cast<const uint8_t*>(group.data()));
      for (size_t i = 0; i < 100; ++i) {
        EXPECT_NEAR(row[i], rows[slot * 100 + i], element == RowElement::kF32 ? 0 : 2e-3) << i;
      }
      EXPECT_TRUE(absl::IsDataLoss(pages.Row(bytes, slot, vids[slot] + 1).status()));
    }
  }
}

TEST(VectorPages, GoldenBytes) {
  const VectorPages pages(3, RowElement::kF16);
  const std::vector<float> rows = {1, -2, 0.5f, 0, 3, 65504};
  const std::string group = pages.Encode({0x0102, 7}, rows.data());
  EXPECT_EQ(absl::BytesToHexString(group.substr(0, 32)), "0201000000000000003c00c000380700000000000000" "00000042ff7b00000000");
  EXPECT_EQ(absl::BytesToHexString(group.substr(4092)), "b959aa1c");
}

}  // namespace
}  // namespace larder::index
