#include "storage/extent_writer.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "storage/crc32c.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

using absl::StatusCode;

class ExtentWriterTest : public testing::Test {
 protected:
  std::string Payload(const ExtentPointer& pointer) const {
    return directory_.Read(ExtentFileName(pointer.file)).substr(pointer.offset, pointer.length);
  }

  TestDirectory directory_;
  FaultySystem system_;
  ExtentLedger ledger_;
  ExtentWriter writer_{system_, directory_.path("."), 64 << 10, &ledger_};
};

TEST_F(ExtentWriterTest, LaysExtentsOnBlocksAndStartsAFileWhenOneIsFull) {
  std::vector<ExtentPointer> pointers;
  for (const size_t size : {0, 1, 4096, 4097, 40000, 20000, 200000, 5}) {
    pointers.push_back(*writer_.Append(std::string(size, 'a')));
  }
  const std::vector<std::pair<uint32_t, uint64_t>> expected = {{1, 4096},  {1, 8192}, {1, 12288}, {1, 16384},
                                                               {1, 24576}, {2, 4096}, {3, 4096},  {4, 4096}};
  for (size_t i = 0; i < pointers.size(); ++i) {
    EXPECT_EQ(std::make_pair(pointers[i].file, pointers[i].offset), expected[i]) << i;
    EXPECT_EQ(pointers[i].crc32c, Crc32c(std::string(pointers[i].length, 'a')));
    EXPECT_EQ(Payload(pointers[i]), std::string(pointers[i].length, 'a'));
  }
  EXPECT_TRUE(ledger_.Find(1)->sealed);
  EXPECT_TRUE(ledger_.Find(3)->sealed);
  EXPECT_FALSE(ledger_.Find(4)->sealed);
  const std::string file = directory_.Read("000001.ext");
  EXPECT_EQ(file.size(), 65536u);
  EXPECT_TRUE(CheckExtentFileHeader(file.substr(0, 4096), 1).ok());
  EXPECT_EQ(file.substr(4096, 4096), std::string(4096, '\0'));
}

TEST_F(ExtentWriterTest, SyncReachesEveryDirtyFileOnceAndNewNames) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer_.Append(std::string(60000, 'b')).ok());
  ASSERT_TRUE(writer_.Sync().ok());
  EXPECT_EQ(system_.syncs, 3);
  EXPECT_EQ(system_.directory_syncs, 1);
  ASSERT_TRUE(writer_.Sync().ok());
  EXPECT_EQ(system_.syncs, 3);
  ASSERT_TRUE(writer_.Append("c").ok());
  ASSERT_TRUE(writer_.Sync().ok());
  EXPECT_EQ(system_.syncs, 4);
}

TEST_F(ExtentWriterTest, AFullDiskFailsTheAppendAndGivesItsRangeUp) {
  const ExtentPointer before = *writer_.Append("before");
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    system_.write_error = error;
    system_.space = 5000;  // some of it is written
    const absl::StatusOr<ExtentPointer> refused = writer_.Append(std::string(12000, 'x'));
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted) << refused.status();
    EXPECT_NE(refused.status().message().find("000001.ext"), std::string::npos) << refused.status();
    EXPECT_EQ(directory_.Read("000001.ext").size(), 8192u) << "what was written is freed";
  }
  system_.space = INT64_MAX;
  const ExtentPointer after = *writer_.Append("after");
  EXPECT_EQ(after.offset, 8192u);
  EXPECT_EQ(Payload(before), "before");
  EXPECT_EQ(Payload(after), "after");
  EXPECT_EQ(ledger_.Find(1)->live_extents, 2u);
  EXPECT_TRUE(writer_.Sync().ok());
}

TEST_F(ExtentWriterTest, AFullDiskAtANewFileLeavesNoFile) {
  system_.space = 100;
  EXPECT_EQ(writer_.Append("x").status().code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(directory_.Exists("000001.ext"));
  system_.space = INT64_MAX;
  EXPECT_EQ(writer_.Append("x")->file, 2u);
}

// The same, by the kernel's word.
TEST_F(ExtentWriterTest, AFileSizeLimitIsAFullDisk) {
  ASSERT_TRUE(writer_.Append("small").ok());
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old_limit;
  limit.rlim_cur = 16384;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::StatusOr<ExtentPointer> refused = writer_.Append(std::string(40000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted) << refused.status();
  EXPECT_EQ(Payload(*writer_.Append(std::string(40000, 'y'))), std::string(40000, 'y'));
}

TEST_F(ExtentWriterTest, AFailedSyncIsNotForgivenUntilWhatItMayHaveLostIsForgotten) {
  const ExtentPointer safe = *writer_.Append("safe");
  ASSERT_TRUE(writer_.Sync().ok());
  const ExtentPointer lost = *writer_.Append("lost");
  system_.failing_syncs = 1;
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable) << "the kernel would say OK now";

  const ExtentPointer later = *writer_.Append("later");
  EXPECT_EQ(later.file, 2u) << "the file whose sync failed is given up";
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
  writer_.Forget(safe);
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
  writer_.Forget(lost);
  EXPECT_TRUE(writer_.Sync().ok());
}

TEST_F(ExtentWriterTest, AnAppendForgottenBeforeTheFailedSyncIsNotMissed) {
  const ExtentPointer lost = *writer_.Append("lost");
  writer_.Forget(lost);
  ASSERT_TRUE(writer_.Append("kept").ok());
  system_.failing_syncs = 1;
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(writer_.Sync().message(),
            directory_.path(".") +
                "/000001.ext: an earlier fdatasync failed, and 1 extents that it may have lost "
                "are in use");
}

TEST_F(ExtentWriterTest, AnAppendUnderWayWhenTheSyncFailsIsRefused) {
  const ExtentPointer lost = *writer_.Append("lost");
  system_.failing_syncs = 1;
  system_.after_write = [&] { EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable); };
  EXPECT_EQ(writer_.Append("under way").status().code(), StatusCode::kUnavailable);
  writer_.Forget(lost);
  EXPECT_EQ(writer_.Append("after")->file, 2u);
  EXPECT_TRUE(writer_.Sync().ok());
}

TEST_F(ExtentWriterTest, AFailedDirectorySyncStaysUntilReopened) {
  ASSERT_TRUE(writer_.Append("x").ok());
  system_.failing_directory_syncs = 1;
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(writer_.Sync().code(), StatusCode::kUnavailable);
}

TEST_F(ExtentWriterTest, AppendsAndSyncsFromManyThreads) {
  std::vector<std::vector<ExtentPointer>> pointers(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto pointer =
            writer_.Append(std::string(1 + (t * 131 + i * 977) % 9000, static_cast<char>('a' + t)));
        ASSERT_TRUE(pointer.ok());
        pointers[t].push_back(*pointer);
        if (i % 10 == t) {
          ASSERT_TRUE(writer_.Sync().ok());
        }
        if (i % 25 == t) writer_.Seal();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<ExtentPointer> all;
  for (int t = 0; t < 4; ++t) {
    for (const ExtentPointer& pointer : pointers[t]) {
      EXPECT_EQ(Payload(pointer), std::string(pointer.length, static_cast<char>('a' + t)));
      all.push_back(pointer);
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
  });
  for (size_t i = 1; i < all.size(); ++i) {
    EXPECT_TRUE(all[i - 1].file != all[i].file || ExtentEnd(all[i - 1]) <= all[i].offset) << "overlap";
  }
}

}  // namespace
}  // namespace larder::storage
