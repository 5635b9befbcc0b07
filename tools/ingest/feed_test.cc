#include "tools/ingest/feed.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MatrixFeedTest : public TestFiles {
 protected:
  std::string WriteMatrix(const std::string& name, uint32_t rows) {
    std::string bytes = Bytes<uint32_t>({rows, 2});
    for (uint32_t row = 0; row < rows; ++row) bytes += Bytes<float>({static_cast<float>(row), 0.5f});
    return Write(name, bytes);
  }
  absl::StatusOr<std::unique_ptr<Feed>> Make(const std::string& path, const MatrixFeedOptions& options,
                                             uint64_t start_offset = 0) {
    auto source = MatrixSource(path, options);
    if (!source.ok()) return source.status();
    source->start_offset = start_offset;
    return MakeMatrixFeed(*source, options);
  }
};

TEST_F(MatrixFeedTest, MakesADocumentOfEachRow) {
  auto feed = Make(WriteMatrix("a.fbin", 3), {"", "", "t", "v"});
  ASSERT_TRUE(feed.ok()) << feed.status();
  EXPECT_EQ((*feed)->sources().total_bytes, 24u);
  for (int row = 0; row < 3; ++row) {
    auto next = (*feed)->Next();
    ASSERT_TRUE(next.ok() && next->has_value());
    const Document& document = (*next)->document;
    EXPECT_EQ(document.id, std::to_string(row));
    EXPECT_EQ(document.tenant, "t");
    ASSERT_EQ(document.chunks.size(), 1u);
    EXPECT_THAT(document.chunks[0].vectors.at("v"), ElementsAre(row, 0.5f));
    EXPECT_EQ((*feed)->mark().source, row == 2 ? 1u : 0u);
    EXPECT_EQ((*feed)->mark().offset, row == 2 ? 0u : (row + 1) * 8u);
  }
  EXPECT_FALSE((*feed)->Next()->has_value());
}

TEST_F(MatrixFeedTest, TakesIdsAndGoesOnFromARow) {
  const std::string matrix = WriteMatrix("a.fbin", 3);
  MatrixFeedOptions options;
  options.ids_path = Write("ids.txt", "one\ntwo\r\nthree");
  auto feed = Make(matrix, options, 16);
  ASSERT_TRUE(feed.ok()) << feed.status();
  auto next = (*feed)->Next();
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_EQ((*next)->document.id, "three");
  EXPECT_EQ((*next)->line, 3u);
  EXPECT_FALSE((*feed)->Next()->has_value());
  EXPECT_EQ(Make(matrix, options, 7).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Make(matrix, options, 32).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MatrixFeedTest, RefusesIdsThatDoNotFit) {
  const std::string matrix = WriteMatrix("a.fbin", 2);
  struct Case {
    std::string ids;
    const char* message;
  } cases[] = {{"one\n", "expected a line for each of 2 rows, found 1"},
               {"one\ntwo\nthree\n", "found 3"},
               {"one\n\n", "ids.txt:2: expected an id, found an empty line"},
               {"one\n\xff\n", "ids.txt:2: expected UTF-8"},
               {"", "found 0"}};
  for (const Case& c : cases) {
    MatrixFeedOptions options;
    options.ids_path = Write("ids.txt", c.ids);
    auto feed = Make(matrix, options);
    EXPECT_EQ(feed.status().code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(std::string(feed.status().message()), HasSubstr(c.message));
  }
}

TEST_F(MatrixFeedTest, CrossesItsBuffer) {
  constexpr uint32_t kRows = 300'000;  // 2.4 MB
  auto feed = Make(WriteMatrix("big.fbin", kRows), {});
  ASSERT_TRUE(feed.ok());
  for (uint32_t row = 0; row < kRows; ++row) {
    auto next = (*feed)->Next();
    ASSERT_TRUE(next.ok() && next->has_value());
    ASSERT_EQ((*next)->document.chunks[0].vectors.at("default")[0], static_cast<float>(row));
  }
  EXPECT_FALSE((*feed)->Next()->has_value());
}

}  // namespace
}  // namespace larder::tools
