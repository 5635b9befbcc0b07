#include "storage/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

constexpr StoreOptions kCreate = {.create_if_missing = true};

WriteBatch PutBatch(Table table, absl::string_view key, absl::string_view value) {
  WriteBatch batch;
  batch.Put(table, key, value);
  return batch;
}

std::vector<std::string> KeysOf(Iterator& it) {
  std::vector<std::string> keys;
  for (; it.Valid(); it.Next()) keys.emplace_back(it.key());
  EXPECT_TRUE(it.status().ok()) << it.status();
  return keys;
}

TEST(Store, KeepsWhatItWasTold) {
  TestDirectory dir;
  {
    auto store = Store::Open(dir.path("db"), kCreate);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->state().commit, 0u);
    EXPECT_EQ(*(*store)->Write(PutBatch(Table::kDocuments, "a", "1")), 1u);
    WriteBatch batch = PutBatch(Table::kDocuments, "b", std::string("\0x", 2));
    batch.Put(Table::kChunks, "a", "");
    batch.Delete(Table::kDocuments, "a");
    batch.Count(Counter::kDocuments, 1);
    batch.Count(Counter::kChunks, 5);
    EXPECT_EQ(*(*store)->Write(std::move(batch)), 2u);
    ASSERT_TRUE((*store)->Close().ok());
    EXPECT_TRUE((*store)->Close().ok());
    EXPECT_EQ((*store)->Get(Table::kChunks, "a").status().code(), absl::StatusCode::kFailedPrecondition);
  }
  auto store = Store::Open(dir.path("db"), {});
  ASSERT_TRUE(store.ok()) << store.status();
  const CommitState state = (*store)->state();
  EXPECT_EQ(state.commit, 2u);
  EXPECT_EQ(state.counters[static_cast<int>(Counter::kDocuments)], 1);
  EXPECT_EQ(state.counters[static_cast<int>(Counter::kChunks)], 5);
  EXPECT_EQ((*store)->Get(Table::kDocuments, "a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*(*store)->Get(Table::kDocuments, "b"), std::string("\0x", 2));
  EXPECT_EQ(*(*store)->Get(Table::kChunks, "a"), "");
  EXPECT_EQ(*(*store)->Write(PutBatch(Table::kDocuments, "c", "3"), /*sync=*/false), 3u);
}

TEST(Store, ReadsManyInTheirOrder) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  for (const char* key : {"k1", "k2", "k3"})
    ASSERT_TRUE(store->Write(PutBatch(Table::kVectors, key, key)).ok());
  const auto results = store->MultiGet(Table::kVectors, {"k3", "absent", "k1", "k3"});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(*results[0], "k3");
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*results[2], "k1");
  EXPECT_EQ(*results[3], "k3");
  EXPECT_TRUE(store->MultiGet(Table::kVectors, {}).empty());
}

TEST(Store, IteratesOverAPrefixOnly) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  WriteBatch batch;
  for (const char* key : {"a", "b", "b1", "b2", "b\xff", "b\xff\xff", "c", "\xff", "\xff\xff"}) {
    batch.Put(Table::kFields, key, key);
  }
  ASSERT_TRUE(store->Write(std::move(batch)).ok());
  using Keys = std::vector<std::string>;
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "b")), (Keys{"b", "b1", "b2", "b\xff", "b\xff\xff"}));
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "b\xff")), (Keys{"b\xff", "b\xff\xff"}));
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "\xff")), (Keys{"\xff", "\xff\xff"}));
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "bb")), Keys{});
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "")).size(), 9u);
  auto it = store->NewIterator(Table::kFields, "b");
  it->Seek("a");
  EXPECT_EQ(it->key(), "b");
  it->Seek("b11");
  EXPECT_EQ(it->key(), "b2");
  EXPECT_EQ(*it->value(), "b2");
  it->Seek("c");
  EXPECT_FALSE(it->Valid());
}

TEST(Store, SnapshotSeesOneCommit) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  ASSERT_TRUE(store->Write(PutBatch(Table::kDocuments, "a", "old")).ok());
  auto snapshot = store->GetSnapshot();
  WriteBatch batch = PutBatch(Table::kDocuments, "a", "new");
  batch.Put(Table::kDocuments, "b", "new");
  ASSERT_TRUE(store->Write(std::move(batch)).ok());
  EXPECT_EQ(*store->Get(Table::kDocuments, "a", snapshot.get()), "old");
  EXPECT_EQ(*store->Get(Table::kDocuments, "a"), "new");
  EXPECT_EQ(*store->MultiGet(Table::kDocuments, {"a"}, snapshot.get())[0], "old");
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kDocuments, "", snapshot.get())),
            std::vector<std::string>{"a"});
  EXPECT_EQ(store->StateAt(*snapshot)->commit, 1u);
  EXPECT_EQ(store->state().commit, 2u);
}

TEST(Store, DeletesRanges) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  WriteBatch batch;
  for (const char* key : {"a", "b", "c", "d"}) batch.Put(Table::kFields, key, "");
  batch.DeleteRange(Table::kFields, "b", "d");
  batch.DeleteRange(Table::kFields, "d", "a");  // empty
  batch.Put(Table::kFields, "c", "again");
  ASSERT_TRUE(store->Write(std::move(batch)).ok());
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kFields, "")), (std::vector<std::string>{"a", "c", "d"}));
}

TEST(Store, AppendedBatchesAreOneCommit) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  WriteBatch batch = PutBatch(Table::kDocuments, "a", "1");
  batch.Count(Counter::kDocuments, 1);
  WriteBatch other = PutBatch(Table::kDocuments, "b", "2");
  other.Count(Counter::kDocuments, 2);
  EXPECT_FALSE(other.empty());
  EXPECT_TRUE(WriteBatch().empty());
  batch.Append(other);
  EXPECT_GT(batch.bytes(), other.bytes());
  EXPECT_EQ(*store->Write(std::move(batch)), 1u);
  EXPECT_EQ(store->state().counters[0], 3);
  EXPECT_EQ(*store->Get(Table::kDocuments, "b"), "2");
}

TEST(Store, GroupsConcurrentCommits) {
  TestDirectory dir;
  constexpr int kThreads = 8, kEach = 50;
  std::map<uint64_t, std::string> committed;
  absl::Mutex mutex;
  {
    auto store = *Store::Open(dir.path("db"), kCreate);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          const std::string key = absl::StrCat(t, "/", i);
          WriteBatch batch = PutBatch(Table::kDocuments, key, key);
          batch.Put(Table::kCatalog, "last", key);
          batch.Count(Counter::kDocuments, 1);
          const auto commit = store->Write(std::move(batch), /*sync=*/i % 3 != 0);
          ASSERT_TRUE(commit.ok()) << commit.status();
          absl::MutexLock lock(&mutex);
          EXPECT_TRUE(committed.emplace(*commit, key).second) << "number given twice: " << *commit;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(store->Close().ok());
  }
  auto store = *Store::Open(dir.path("db"), {});
  EXPECT_EQ(committed.size(), size_t{kThreads * kEach});
  EXPECT_EQ(committed.rbegin()->first, store->state().commit);
  EXPECT_EQ(store->state().commit, uint64_t{kThreads * kEach});
  EXPECT_EQ(store->state().counters[0], kThreads * kEach);
  EXPECT_EQ(*store->Get(Table::kCatalog, "last"), committed.rbegin()->second);
  EXPECT_EQ(KeysOf(*store->NewIterator(Table::kDocuments, "")).size(), committed.size());
}

TEST(Store, RefusesASecondHolder) {
  TestDirectory dir;
  auto store = *Store::Open(dir.path("db"), kCreate);
  const absl::Status second = Store::Open(dir.path("db"), {}).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.message(), HasSubstr(dir.path("db/LOCK")));
  ASSERT_TRUE(store->Close().ok());
  EXPECT_TRUE(Store::Open(dir.path("db"), {}).ok());
}

TEST(Store, OpensOnlyWhatItIsAllowedTo) {
  TestDirectory dir;
  EXPECT_EQ(Store::Open(dir.path("db"), {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(dir.Exists("db"));
  ASSERT_TRUE(Store::Open(dir.path("db"), kCreate).ok());
  EXPECT_EQ(Store::Open(dir.path("db"), {.create_if_missing = true, .error_if_exists = true}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Store::Open(dir.path("db"), {.write_buffer_bytes = 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Store::Open(dir.path("db"), {.mark_interval = absl::ZeroDuration()}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace larder::storage
