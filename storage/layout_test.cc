#include "storage/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "storage/schema.h"
#include "storage/store.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

TEST(Format, IsWrittenAsDocumented) {
  TestDirectory dir;
  ASSERT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  EXPECT_THAT(dir.Read("db/FORMAT"), ::testing::MatchesRegex("larder 2\ncreated-by larder [0-9.]+\n"));
}

TEST(Format, EveryOtherContentIsRefusedAndLeftAlone) {
  TestDirectory dir;
  ASSERT_TRUE(Store::Open(dir.path("db"), {.create_if_missing = true}).ok());
  struct Case {
    const char* contents;
    absl::StatusCode code;
  };
  for (const Case& test :
       {Case{"larder 3\ncreated-by larder 9.9\n", absl::StatusCode::kFailedPrecondition},
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

// A database as version 1 made it: one table less.
void MakeVersionOne(const TestDirectory& dir) {
  {
    const auto store = Store::Open(dir.path("db"), {.create_if_missing = true});
    ASSERT_TRUE(store.ok());
    WriteBatch batch;
    batch.Put(Table::kChunks, "k", "v");
    ASSERT_TRUE((*store)->Write(std::move(batch)).ok());
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const TableTraits& traits : kTables) families.emplace_back(std::string(traits.name), rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, dir.path("db/store"), families, &handles, &db).ok());
  ASSERT_TRUE(db->DropColumnFamily(handles.back()).ok());
  for (rocksdb::ColumnFamilyHandle* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  delete db;
  dir.Write("db/FORMAT", "larder 1\ncreated-by larder 0.1\n");
}

TEST(Format, AVersionOneDatabaseOpensAndGetsItsNewTable) {
  TestDirectory dir;
  MakeVersionOne(dir);
  for (int round = 0; round < 2; ++round) {
    const auto store = Store::Open(dir.path("db"), {});
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->Get(Table::kChunks, "k").value(), "v");
    EXPECT_EQ((*store)->Get(Table::kTree, "k").ok(), round == 1);
    WriteBatch batch;
    batch.Put(Table::kTree, "k", "v");
    ASSERT_TRUE((*store)->Write(std::move(batch)).ok());
    EXPECT_THAT(dir.Read("db/FORMAT"), ::testing::StartsWith("larder 2\n"));
  }
}

// Killed between FORMAT and the table.
TEST(Format, AnUpgradeThatWasKilledGoesOn) {
  TestDirectory dir;
  MakeVersionOne(dir);
  dir.Write("db/FORMAT", "larder 2\ncreated-by larder 0.1\n");
  const auto store = Store::Open(dir.path("db"), {});
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(absl::IsNotFound((*store)->Get(Table::kTree, "k").status()));
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
