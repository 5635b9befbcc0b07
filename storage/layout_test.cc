#include "storage/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/store.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

TEST(Format, IsWrittenAsDocumented) {
  TestDirectory dir;
  ASSERT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  EXPECT_THAT(dir.Read("db/FORMAT"), ::testing::MatchesRegex("larder 1\ncreated-by larder [0-9.]+\n"));
}

TEST(Format, EveryOtherContentIsRefusedAndLeftAlone) {
  TestDirectory dir;
  ASSERT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  struct Case {
    const char* contents;
    absl::StatusCode code;
  };
  for (const Case& test :
       {Case{"larder 2\ncreated-by larder 9.9\n", absl::StatusCode::kFailedPrecondition},
        Case{"larder 2147483647\n", absl::StatusCode::kFailedPrecondition},
        Case{"larder 99999999999999999999\n", absl::StatusCode::kDataLoss},
        Case{"larder 0\n", absl::StatusCode::kDataLoss}, Case{"larder -1\n", absl::StatusCode::kDataLoss},
        Case{"larder 1", absl::StatusCode::kDataLoss}, Case{"larder\n", absl::StatusCode::kDataLoss},
        Case{"larder one\n", absl::StatusCode::kDataLoss}, Case{"other 1\n", absl::StatusCode::kDataLoss},
        Case{"", absl::StatusCode::kDataLoss}}) {
    SCOPED_TRACE(test.contents);
    dir.Write("db/FORMAT", test.contents);
    std::filesystem::remove(dir.path("db/LOCK"));
    const auto before = dir.Contents("db");
    for (const bool accept_data_loss : {false, true}) {
      const absl::Status status =
          Store::Open(dir.path("db"), {.create_if_missing = true, .accept_data_loss = accept_data_loss})
              .status();
      EXPECT_EQ(status.code(), test.code) << status;
      EXPECT_THAT(status.message(), HasSubstr(dir.path("db/FORMAT")));
      EXPECT_EQ(dir.Contents("db"), before);
    }
  }
}

TEST(Format, AStoreWithoutItIsNotTakenForNew) {
  TestDirectory dir;
  ASSERT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  std::filesystem::remove(dir.path("db/FORMAT"));
  const auto before = dir.Contents("db");
  EXPECT_EQ(Store::Open(dir.path("db"), {.create_if_missing = true}).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(dir.Contents("db"), before);
}

TEST(Format, AnInterruptedCreationIsNoDatabase) {
  TestDirectory dir;
  std::filesystem::create_directories(dir.path("db/store"));
  dir.Write("db/CREATING", "");
  dir.Write("db/store/CURRENT", "half");
  EXPECT_EQ(Store::Open(dir.path("db"), {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
}

TEST(Format, OtherFilesInTheDirectoryDoNotMatter) {
  TestDirectory dir;
  std::filesystem::create_directories(dir.path("db/extents"));
  dir.Write("db/notes.txt", "mine");
  EXPECT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  EXPECT_EQ(dir.Read("db/notes.txt"), "mine");
}

}  // namespace
}  // namespace larder::storage
