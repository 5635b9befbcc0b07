#include "storage/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace larder::storage {
namespace {

// RFC 3720, B.4.
TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

// The check value of CRC-64/XZ in the catalogue of parametrised CRC algorithms.
TEST(Crc64, GivesThePublishedValue) { EXPECT_EQ(Crc64("123456789"), 0x995DC9BBDF1939FAull); }

TEST(Crc, ExtendsAtEverySplit) {
  std::string data;
  for (int i = 0; i < 300; ++i) data.push_back(static_cast<char>(i * 7));
  for (size_t split = 0; split <= data.size(); ++split) {
    const absl::string_view head = absl::string_view(data).substr(0, split);
    const absl::string_view tail = absl::string_view(data).substr(split);
    ASSERT_EQ(Crc32c(tail, Crc32c(head)), Crc32c(data)) << split;
    ASSERT_EQ(Crc64(tail, Crc64(head)), Crc64(data)) << split;
  }
}

}  // namespace
}  // namespace larder::storage
