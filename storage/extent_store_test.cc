#include "storage/extent_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::IsEmpty;

struct Mode {
  bool io_uring, direct_io;
};

class ExtentStoreTest : public testing::TestWithParam<Mode> {
 protected:
  ExtentStoreTest() {
    db_.options.allow_io_uring = GetParam().io_uring;
    db_.options.direct_io = GetParam().direct_io;
    db_.Open();
  }
  ExtentTestDatabase db_;
  std::mt19937_64 random_{11};
};

TEST_P(ExtentStoreTest, ReadsBackWhatWasWrittenAlsoAfterReopening) {
  std::vector<std::string> payloads;
  for (const size_t size : {0, 1, 4095, 4096, 4097, 12288, 65536, 65537, 300000, 3000000}) {
    payloads.push_back(RandomBytes(random_, size));
    ASSERT_TRUE(db_.Put(std::to_string(size), payloads.back()).ok());
  }
  for (int round = 0; round < 2; ++round) {
    std::vector<ExtentPointer> pointers;
    for (const std::string& payload : payloads)
      pointers.push_back(*db_.PointerOf(std::to_string(payload.size())));
    const auto results = db_.extents->Read(pointers);
    for (size_t i = 0; i < payloads.size(); ++i) {
      ASSERT_TRUE(results[i].ok()) << results[i].status();
      EXPECT_EQ(*results[i], payloads[i]);
    }
    EXPECT_EQ(db_.extents->Stats().extents, payloads.size());
    EXPECT_THAT(db_.Problems(), IsEmpty());
    db_.Reopen();
  }
  EXPECT_THAT(db_.extents->Read({}), IsEmpty());
}

TEST_P(ExtentStoreTest, AnAppendIsReadableBeforeItIsSynced) {
  const std::string payload = RandomBytes(random_, 200000);
  const ExtentPointer pointer = *db_.extents->Append(payload);
  EXPECT_EQ(*db_.ReadOne(pointer), payload);
}

TEST_P(ExtentStoreTest, StatsSayWhatIsLive) {
  ASSERT_TRUE(db_.Put("a", std::string(5000, 'a')).ok());
  ASSERT_TRUE(db_.Put("b", std::string(4096, 'b')).ok());
  const ExtentPointer forgotten = *db_.extents->Append("c");
  ExtentStats stats = db_.extents->Stats();
  EXPECT_EQ(stats.files, 1u);
  EXPECT_EQ(stats.extents, 3u);
  EXPECT_EQ(stats.bytes, 4096u + 8192 + 4096 + 4096);
  EXPECT_EQ(stats.live_bytes, 8192u + 4096 + 4096);
  EXPECT_EQ(db_.RowCount(), 2);
  db_.extents->Forget(forgotten);
  ASSERT_TRUE(db_.Delete("a").ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(db_.extents->Stats().live_bytes, 4096u);
    EXPECT_EQ(db_.extents->Stats().extents, 1u);
    EXPECT_EQ(db_.RowCount(), 1);
    db_.Reopen();
  }
}

TEST_P(ExtentStoreTest, OpeningReclaimsFilesAndTailsThatNothingRefersTo) {
  ASSERT_TRUE(db_.Put("kept", std::string(5000, 'k')).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(db_.extents->Append(std::string(10000, 'o')).ok());
  ASSERT_TRUE(db_.extents->Sync().ok());
  EXPECT_GT(db_.Files().size(), 3u);
  db_.Reopen();
  EXPECT_THAT(db_.Files(), ElementsAre("000001.ext"));
  EXPECT_EQ(std::filesystem::file_size(db_.FilePath(1)), 4096u + 8192u);
  EXPECT_EQ(*db_.Get("kept"), std::string(5000, 'k'));
  // Numbers are not used again, and old files not appended to.
  EXPECT_EQ(db_.Put("next", "n")->file, 6u);
}

TEST_P(ExtentStoreTest, FileNumbersSurviveTheFilesThatBoreThem) {
  const ExtentPointer first = *db_.Put("a", "x");
  ASSERT_TRUE(db_.Delete("a").ok());
  db_.Reopen();
  EXPECT_THAT(db_.Files(), IsEmpty());
  db_.Reopen();
  EXPECT_EQ(db_.Put("b", "y")->file, 2u);
  EXPECT_EQ(db_.ReadOne(first).status().code(), StatusCode::kNotFound);
}

TEST_P(ExtentStoreTest, HostilePointersAreDataLoss) {
  const ExtentPointer good = *db_.Put("a", std::string(5000, 'a'));
  const std::vector<ExtentPointer> hostile = {
      {},
      {.file = 0, .offset = 4096, .length = 1},
      {.file = 2, .offset = 4096, .length = 1},
      {.file = UINT32_MAX, .offset = 4096, .length = 1},
      {.file = 1, .offset = 0, .length = 100},
      {.file = 1, .offset = 4097, .length = 100},
      {.file = 1, .offset = 1 << 20, .length = 100},
      {.file = 1, .offset = UINT64_MAX - 4095, .length = 100},
      {.file = 1, .offset = 4096, .length = UINT64_MAX},
      {.file = 1, .offset = 4096, .length = UINT64_MAX - 4096},
      {.file = 1, .offset = 4096, .length = uint64_t{1} << 40},
      {.file = 1, .offset = 4096, .length = 5000, .crc32c = good.crc32c ^ 1},
      {.file = 1, .offset = 4096, .length = 4999, .crc32c = good.crc32c},
      {.file = 1, .offset = 8192, .length = 904, .crc32c = good.crc32c},
  };
  std::vector<ExtentPointer> pointers = hostile;
  pointers.push_back(good);
  const auto results = db_.extents->Read(pointers);
  for (size_t i = 0; i < hostile.size(); ++i) {
    EXPECT_EQ(results[i].status().code(), StatusCode::kDataLoss) << i << ": " << results[i].status();
  }
  EXPECT_EQ(*results.back(), std::string(5000, 'a'));
}

TEST_P(ExtentStoreTest, AFullDiskIsResourceExhaustedAndPasses) {
  ASSERT_TRUE(db_.Put("a", std::string(9000, 'a')).ok());
  db_.system.space = 20000;
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    const absl::Status status = db_.Put(absl::StrCat("b", i), std::string(9000, 'b')).status();
    if (!status.ok()) {
      EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
      ++refused;
    }
  }
  EXPECT_EQ(refused, 19);
  EXPECT_EQ(*db_.Get("a"), std::string(9000, 'a'));
  ASSERT_TRUE(db_.Delete("a").ok());
  db_.system.space = INT64_MAX;
  ASSERT_TRUE(db_.Put("c", std::string(9000, 'c')).ok());
  EXPECT_THAT(db_.Problems(), IsEmpty());
  EXPECT_EQ(db_.extents->Stats().extents, 2u);
  db_.Reopen();
  EXPECT_EQ(db_.extents->Stats().extents, 2u);
}

TEST_P(ExtentStoreTest, ManyReadersManyFiles) {
  db_.options.file_bytes = 16 << 10;  // more files than the store keeps open
  db_.options.queue_depth = 4;
  db_.Reopen();
  std::vector<std::string> payloads;
  std::vector<ExtentPointer> pointers;
  for (int i = 0; i < 300; ++i) {
    payloads.push_back(RandomBytes(random_, 1 + i * 37 % 12000));
    pointers.push_back(*db_.extents->Append(payloads.back()));
  }
  EXPECT_GT(db_.Files().size(), 140u);
  std::vector<std::thread> readers;
  for (int t = 0; t < 12; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int round = 0; round < 20; ++round) {
        std::vector<size_t> chosen(1 + random() % 30);
        std::vector<ExtentPointer> wanted;
        for (size_t& index : chosen) wanted.push_back(pointers[index = random() % pointers.size()]);
        const auto results = db_.extents->Read(wanted);
        for (size_t i = 0; i < chosen.size(); ++i) ASSERT_EQ(*results[i], payloads[chosen[i]]);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_P(ExtentStoreTest, OpeningDoesNotCutAFileThatABackupShares) {
  ASSERT_TRUE(db_.Put("a", "a").ok());
  ASSERT_TRUE(db_.Put("b", "b").ok());
  const std::string target = db_.directory.path("links");
  ASSERT_TRUE(db_.extents->LinkInto(target).ok());
  ASSERT_TRUE(db_.Delete("b").ok());
  db_.Reopen();
  EXPECT_EQ(std::filesystem::file_size(db_.FilePath(1)), 3 * 4096u);
  std::filesystem::remove_all(target);
  db_.Reopen();
  EXPECT_EQ(std::filesystem::file_size(db_.FilePath(1)), 2 * 4096u);
}

TEST_P(ExtentStoreTest, LinkingRefusesToOverwriteOrToLeaveOut) {
  ASSERT_TRUE(db_.Put("a", "a").ok());
  const std::string target = db_.directory.path("links");
  ASSERT_TRUE(db_.extents->LinkInto(target).ok());
  EXPECT_EQ(db_.extents->LinkInto(target).code(), StatusCode::kAlreadyExists);
  db_.Close();
  std::filesystem::remove(db_.FilePath(1));
  db_.Open();
  EXPECT_EQ(db_.extents->LinkInto(db_.directory.path("other")).code(), StatusCode::kDataLoss);
}

INSTANTIATE_TEST_SUITE_P(Modes, ExtentStoreTest,
                         testing::Values(Mode{true, true}, Mode{true, false}, Mode{false, true},
                                         Mode{false, false}),
                         [](const auto& info) {
                           return std::string(info.param.io_uring ? "IoUring" : "Preads") +
                                  (info.param.direct_io ? "Direct" : "Cached");
                         });

TEST(ExtentStore, FallsBackWhereODirectIsRefused) {
  ExtentTestDatabase db;
  db.system.refuse_direct = true;
  db.Open();
  EXPECT_TRUE(db.extents->Stats().direct_io);  // nothing has told otherwise yet
  ASSERT_TRUE(db.Put("a", std::string(70000, 'a')).ok());
  EXPECT_EQ(*db.Get("a"), std::string(70000, 'a'));
  EXPECT_FALSE(db.extents->Stats().direct_io);
}

// Test directories are in memory where there is /dev/shm (kernels before 6.6 refuse O_DIRECT there,
// later ones take it); this one is where temporary files go.
TEST(ExtentStore, WorksOnTheOrdinaryFileSystem) {
  std::string root = (std::filesystem::temp_directory_path() / "larder-test-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  ExtentTestDatabase db;
  db.Open();
  for (const bool io_uring : {true, false}) {
    db.options.allow_io_uring = io_uring;
    const auto extents = ExtentStore::Open(root, db.store.get(), db.options);
    ASSERT_TRUE(extents.ok()) << extents.status();
    std::mt19937_64 random(5);
    for (const size_t size : {1, 5000, 400000}) {
      const std::string payload = RandomBytes(random, size);
      const ExtentPointer pointer = *(*extents)->Append(payload);
      ASSERT_TRUE((*extents)->Sync().ok());
      EXPECT_EQ(*(*extents)->Read({&pointer, 1})[0], payload);
    }
    ASSERT_TRUE((*extents)->LinkInto(root + "/links").ok());
    std::filesystem::remove_all(root + "/links");
  }
  std::filesystem::remove_all(root);
}

// Over RocksDB, with syncs that are meant.
TEST(ExtentStore, ALinkedCopyOpensByItselfAndOutlivesTheOriginal) {
  ExtentTestDatabase db;
  db.rocksdb = true;
  db.environment.system = &ExtentSystem::Posix();
  db.Open();
  ASSERT_TRUE(db.Put("a", std::string(100000, 'a')).ok());
  ASSERT_TRUE(db.Put("b", "b").ok());
  ASSERT_TRUE(db.extents->Append("an append that is not yet referenced").ok());
  const std::string target = db.directory.path("copy");
  ASSERT_TRUE(db.store->Checkpoint(target, [&] { return db.extents->LinkInto(target + "/extents"); }).ok());
  // The original goes on: what was linked is not written to again.
  const ExtentPointer later = *db.Put("c", "c");
  EXPECT_FALSE(std::filesystem::exists(target + "/extents/" + ExtentFileName(later.file)));
  ASSERT_TRUE(db.Delete("a").ok());
  ASSERT_TRUE(db.Delete("b").ok());
  ASSERT_TRUE(db.CollectGarbage().ok());
  db.Reopen();
  db.Close();

  const auto store = Store::Open(target, {});
  ASSERT_TRUE(store.ok()) << store.status();
  const auto extents = ExtentStore::Open(target + "/extents", store->get(), db.options);
  ASSERT_TRUE(extents.ok());
  std::vector<std::string> problems;
  EXPECT_EQ(*(*extents)->Verify(&problems), 2u);
  EXPECT_THAT(problems, IsEmpty());
}

TEST(ExtentStore, RefusesBadOptions) {
  ExtentTestDatabase db;
  db.options = {.file_bytes = 4096};
  EXPECT_EQ(db.TryOpen().code(), StatusCode::kInvalidArgument);
  db.Close();
  db.options = {.file_bytes = uint64_t{2} << 40};
  EXPECT_EQ(db.TryOpen().code(), StatusCode::kInvalidArgument);
  db.Close();
  for (const uint32_t depth : {0u, 4097u}) {
    db.options = {.queue_depth = depth};
    EXPECT_EQ(db.TryOpen().code(), StatusCode::kInvalidArgument);
    db.Close();
  }
}

}  // namespace
}  // namespace larder::storage
