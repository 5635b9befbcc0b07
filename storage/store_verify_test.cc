// What Verify finds, and what reads say of a value that is not what was put.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/rocks.h"
#include "storage/store.h"
#include "storage/test_directory.h"
#include "storage/value_trailer.h"

namespace larder::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Key(int i) { return absl::StrCat("key", 1000 + i); }

class StoreVerify : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = *Store::Open(dir_.path("db"), {.create_if_missing = true});
    WriteBatch batch;
    for (int i = 0; i < 100; ++i) {
      batch.Put(Table::kDocuments, Key(i), std::string(1000, static_cast<char>('a' + i % 26)));
    }
    batch.Put(Table::kKvEntries, std::string("\0\1", 2), "hash");
    ASSERT_TRUE(store->Write(std::move(batch)).ok());
    ASSERT_TRUE(store->Close().ok());
  }

  // Puts raw bytes where a value with its trailer belongs, behind the store's back.
  void PutRaw(Table table, const std::string& key, const std::string& stored) {
    auto rocks = *Rocks::Open(dir_.path("db/store"), {}, nullptr, Rocks::Mode::kExisting);
    ASSERT_TRUE(rocks->db()->Put({}, rocks->handle(table), key, stored).ok());
    ASSERT_TRUE(rocks->Flush().ok());
  }

  TestDirectory dir_;
};

TEST_F(StoreVerify, VisitsEveryRecordOfACleanStore) {
  auto store = *Store::Open(dir_.path("db"), {});
  std::map<Table, int> seen;
  std::vector<std::string> problems;
  const auto count = store->Verify(
      [&](Table table, absl::string_view key, absl::string_view value) {
        ++seen[table];
        EXPECT_EQ(value, *store->Get(table, key));
      },
      &problems);
  EXPECT_EQ(*count, 102u);  // with the commit record
  EXPECT_EQ(seen,
            (std::map<Table, int>{{Table::kMeta, 1}, {Table::kDocuments, 100}, {Table::kKvEntries, 1}}));
  EXPECT_THAT(problems, IsEmpty());
}

TEST_F(StoreVerify, AValueWithAWrongTrailerIsDataLossEverywhere) {
  std::string moved;
  moved = "right value of another key";
  AppendTrailer(Table::kDocuments, Key(6), "right value of another key", &moved);
  PutRaw(Table::kDocuments, Key(5), moved);
  PutRaw(Table::kDocuments, Key(7), "abc");
  std::string foreign = "right value of another table";
  AppendTrailer(Table::kDocuments, std::string("\0\1", 2), "right value of another table", &foreign);
  PutRaw(Table::kKvEntries, std::string("\0\1", 2), foreign);

  auto store = *Store::Open(dir_.path("db"), {});
  const absl::Status status = store->Get(Table::kDocuments, Key(5)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("table documents"), HasSubstr("\"key1005\""), HasSubstr("expected")));
  const auto many = store->MultiGet(Table::kDocuments, {Key(4), Key(5), Key(6), Key(7)});
  EXPECT_TRUE(many[0].ok());
  EXPECT_EQ(many[1].status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(many[2].ok());
  EXPECT_EQ(many[3].status().code(), absl::StatusCode::kDataLoss);

  int good = 0, bad = 0;
  auto it = store->NewIterator(Table::kDocuments, "key");
  for (; it->Valid(); it->Next()) ++(it->value().ok() ? good : bad);
  EXPECT_TRUE(it->status().ok());
  EXPECT_EQ(good, 98);
  EXPECT_EQ(bad, 2);

  std::vector<std::string> problems;
  EXPECT_EQ(*store->Verify(nullptr, &problems), 99u);
  EXPECT_THAT(problems, ElementsAre(AllOf(HasSubstr("documents"), HasSubstr("key1005")),
                                    AllOf(HasSubstr("documents"), HasSubstr("key1007"), HasSubstr("3 bytes")),
                                    AllOf(HasSubstr("kv_entries"), HasSubstr("0x0001"))));
}

TEST_F(StoreVerify, GoesOnBehindADamagedBlock) {
  {  // two files of a table that is not compressed
    auto store = *Store::Open(dir_.path("db"), {});
    for (const int first : {0, 200}) {
      WriteBatch batch;
      for (int i = first; i < first + 100; ++i) {
        batch.Put(Table::kVectors, Key(i), std::string(1000, i == 50 ? 'x' : 'y'));
      }
      ASSERT_TRUE(store->Write(std::move(batch)).ok());
      ASSERT_TRUE(store->Compact().ok());
    }
    ASSERT_TRUE(store->Close().ok());
  }
  std::string damaged;
  for (const auto& [name, contents] : dir_.Contents("db/store")) {
    const size_t at = contents.find(std::string(500, 'x'));
    if (absl::EndsWith(name, ".sst") && at != std::string::npos) {
      std::string bytes = contents;
      bytes[at] ^= 1;
      dir_.Write(name, bytes);
      damaged = name.substr(name.rfind('/'));
    }
  }
  ASSERT_NE(damaged, "");
  auto store = *Store::Open(dir_.path("db"), {});
  int first_file = 0, second_file = 0;
  std::vector<std::string> problems;
  ASSERT_TRUE(store
                  ->Verify(
                      [&](Table table, absl::string_view key, absl::string_view) {
                        if (table == Table::kVectors) ++(key < Key(200) ? first_file : second_file);
                      },
                      &problems)
                  .ok());
  EXPECT_LT(first_file, 100);
  EXPECT_EQ(second_file, 100);
  EXPECT_THAT(problems,
              ElementsAre(AllOf(HasSubstr(damaged), HasSubstr("vectors")),
                          AllOf(HasSubstr("table vectors, after key \"key10"), HasSubstr("Corruption"))));
}

TEST_F(StoreVerify, ADamagedCommitRecordIsRefused) {
  PutRaw(Table::kMeta, "commit", "abcd");
  EXPECT_EQ(Store::Open(dir_.path("db"), {}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(PrintableKey, ShowsTextAsTextAndTheRestAsHex) {
  EXPECT_EQ(PrintableKey("abc"), "\"abc\"");
  EXPECT_EQ(PrintableKey("a\"b"), "\"a\\\"b\"");
  EXPECT_EQ(PrintableKey(""), "\"\"");
  EXPECT_EQ(PrintableKey(std::string("a\0", 2)), "0x6100");
  EXPECT_EQ(PrintableKey(std::string(65, 'a')), absl::StrCat("\"", std::string(64, 'a'), "\"... (65 bytes)"));
}

}  // namespace
}  // namespace larder::storage
