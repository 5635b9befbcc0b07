#include "storage/extent_gc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ExtentGcTest : public testing::Test {
 protected:
  ExtentGcTest() { Create(); }

  void Create() {
    db_.emplace();
    // For speed: rings take long to go, and direct reads of what was just written wait for the disk.
    db_->options.allow_io_uring = false;
    db_->options.direct_io = false;
    db_->Open();
  }

  static std::string Payload(int i) {
    return std::string(7000, static_cast<char>('a' + i % 26)) + std::to_string(i);
  }
  static std::string Key(int i) { return absl::StrCat("key", i); }

  // Eight extents of 8 KiB fill file 1 (64 KiB with its header, so seven fit), and so on.
  void Fill(int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(db_->Put(Key(i), Payload(i)).ok());
  }
  void DeleteAllBut(int count, int every) {
    for (int i = 0; i < count; ++i) {
      if (i % every != 0) {
        ASSERT_TRUE(db_->Delete(Key(i)).ok());
      }
    }
  }
  void ExpectKept(int count, int every) {
    for (int i = 0; i < count; i += every) {
      const absl::StatusOr<std::string> payload = db_->Get(Key(i));
      ASSERT_TRUE(payload.ok()) << i << ": " << payload.status();
      ASSERT_EQ(*payload, Payload(i));
    }
    EXPECT_THAT(db_->Problems(), IsEmpty());
    EXPECT_EQ(db_->RowCount(), (count + every - 1) / every);
  }

  std::optional<ExtentTestDatabase> db_;
};

TEST_F(ExtentGcTest, CollectsSealedFilesBelowHalfLive) {
  Fill(28);  // four files of seven; the fourth is still being appended to
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  DeleteAllBut(28, 7);
  // Three files of 15 blocks go, less one extent of two blocks copied from each.
  EXPECT_EQ(*db_->CollectGarbage(), 3u * (15 - 2) * 4096);
  EXPECT_THAT(db_->Files(), ElementsAre("000004.ext", "000005.ext"));
  ExpectKept(28, 7);
  // The copies filled the fourth file up, so that it may go as well.
  EXPECT_EQ(*db_->CollectGarbage(), (15 - 2) * 4096u);
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  db_->Reopen();
  ExpectKept(28, 7);
}

TEST_F(ExtentGcTest, LeavesFilesAtLeastHalfLive) {
  Fill(8);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db_->Delete(Key(i)).ok());
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  ASSERT_TRUE(db_->Delete(Key(3)).ok());
  EXPECT_GT(*db_->CollectGarbage(), 0u);
  EXPECT_THAT(db_->Files(), ElementsAre("000002.ext"));
}

TEST_F(ExtentGcTest, ReadersThatHaveTheFileOpenReadOn) {
  Fill(8);
  const ExtentPointer old = *db_->PointerOf(Key(0));
  ExtentFds fds(ExtentSystem::Posix(), db_->extent_path(), false, 4);
  const auto handle = fds.Get(1);
  ASSERT_TRUE(handle.ok());
  DeleteAllBut(8, 8);
  ASSERT_TRUE(db_->CollectGarbage().ok());
  EXPECT_FALSE(std::filesystem::exists(db_->FilePath(1)));
  std::string payload(old.length, '\0');
  EXPECT_EQ(::pread((*handle)->fd.get(), payload.data(), payload.size(), static_cast<off_t>(old.offset)),
            static_cast<ssize_t>(old.length));
  EXPECT_EQ(payload, Payload(0));
  // A new look finds that it has gone.
  EXPECT_EQ(db_->ReadOne(old).status().code(), StatusCode::kNotFound);
  fds.Retire(1);
  EXPECT_EQ(fds.Get(1).status().code(), StatusCode::kNotFound);
}

TEST_F(ExtentGcTest, WhatIsPendingKeepsItsFile) {
  Fill(6);
  const ExtentPointer pending = *db_->extents->Append(Payload(100));
  ASSERT_TRUE(db_->Put(Key(6), Payload(6)).ok());
  ASSERT_EQ(pending.file, 1u);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(db_->Delete(Key(i)).ok());
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  // Referenced in a batch that is not written yet: still pending.
  WriteBatch batch;
  ExtentTestDatabase::PutOwner("late", pending, &batch);
  batch.Count(Counter::kKvEntries, +1);
  db_->extents->Reference(pending, ExtentTestDatabase::Owner("late"), &batch);
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  EXPECT_EQ(*db_->ReadOne(pending), Payload(100));
  ASSERT_TRUE(db_->store->Write(std::move(batch)).ok());
  EXPECT_GT(*db_->CollectGarbage(), 0u);
  EXPECT_THAT(db_->Files(), ElementsAre("000002.ext"));
  EXPECT_EQ(*db_->Get("late"), Payload(100));
}

TEST_F(ExtentGcTest, ForgettingAnAppendFreesItsFile) {
  std::vector<ExtentPointer> pointers;
  for (int i = 0; i < 8; ++i) pointers.push_back(*db_->extents->Append(Payload(i)));
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  for (const ExtentPointer& pointer : pointers) db_->extents->Forget(pointer);
  EXPECT_EQ(*db_->CollectGarbage(), 15u * 4096);
  EXPECT_THAT(db_->Files(), ElementsAre("000002.ext"));
}

TEST_F(ExtentGcTest, AReleaseThatIsNeverCommittedLosesNothing) {
  Fill(8);
  for (int i = 0; i < 8; ++i) {
    WriteBatch never_written;
    db_->extents->Release(*db_->PointerOf(Key(i)), &never_written);
  }
  EXPECT_EQ(db_->extents->Stats().live_bytes, 0u);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(db_->CollectGarbage().ok());
    ExpectKept(8, 1);
  }
  db_->Reopen();
  EXPECT_EQ(db_->extents->Stats().extents, 8u);
  ExpectKept(8, 1);
}

TEST_F(ExtentGcTest, AnOrphanedRowIsDropped) {
  Fill(8);
  DeleteAllBut(8, 7);  // 0 and 7 stay
  WriteBatch batch;    // the owner goes without releasing: a bug elsewhere
  batch.Delete(Table::kKvEntries, Key(0));
  batch.Count(Counter::kKvEntries, -1);
  ASSERT_TRUE(db_->store->Write(std::move(batch)).ok());
  EXPECT_GT(*db_->CollectGarbage(), 0u);
  EXPECT_EQ(db_->RowCount(), 1);
  EXPECT_THAT(db_->Problems(), IsEmpty());
  EXPECT_EQ(*db_->Get(Key(7)), Payload(7));
}

TEST_F(ExtentGcTest, TheOwnerMayCommitTheMoveUnderItsOwnLock) {
  Fill(8);
  DeleteAllBut(8, 7);
  const auto committing = [&](const ExtentOwner& owner, const ExtentPointer& from, const ExtentPointer& to,
                              WriteBatch* batch) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const bool holds, db_->Relocator()(owner, from, to, batch));
    if (!holds) return false;
    RETURN_IF_ERROR(db_->store->Write(std::move(*batch)).status());
    *batch = WriteBatch();
    return true;
  };
  EXPECT_GT(*db_->extents->CollectGarbage(committing), 0u);
  EXPECT_THAT(db_->Files(), ElementsAre("000002.ext"));
  ExpectKept(8, 7);
}

TEST_F(ExtentGcTest, DamageIsLeftInPlaceAndReportedAndTheRestGoesOn) {
  Fill(22);
  const ExtentPointer damaged = *db_->PointerOf(Key(0));
  std::string file = db_->directory.Read("db/extents/000001.ext");
  file[damaged.offset + 17] ^= 4;
  db_->directory.Write("db/extents/000001.ext", file);
  for (int i = 0; i < 22; ++i) {
    if (i != 0 && i != 1 && i != 21) {
      ASSERT_TRUE(db_->Delete(Key(i)).ok());
    }
  }
  const absl::Status reported = db_->CollectGarbage().status();
  EXPECT_EQ(reported.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(reported.message()),
              HasSubstr("000001.ext: extent at offset 4096 (7001 bytes): crc32c "));
  EXPECT_THAT(db_->Files(), ElementsAre("000001.ext", "000004.ext"));
  EXPECT_EQ(*db_->Get(Key(1)), Payload(1));
  EXPECT_EQ(db_->PointerOf(Key(1))->file, 4u);
  EXPECT_EQ(db_->Get(Key(0)).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(*db_->CollectGarbage(), 0u) << "reported once; Verify keeps saying it";
  EXPECT_EQ(db_->Problems().size(), 1u);
}

TEST_F(ExtentGcTest, ErrorsOfTheOwnerAndTheStoreStopItAndLoseNothing) {
  Fill(8);
  DeleteAllBut(8, 3);
  const auto failing = [](const ExtentOwner&, const ExtentPointer&, const ExtentPointer&,
                          WriteBatch*) -> absl::StatusOr<bool> { return absl::AbortedError("not now"); };
  EXPECT_EQ(db_->extents->CollectGarbage(failing).status().code(), StatusCode::kAborted);
  ExpectKept(8, 3);
  db_->memory->FailNextWrite(absl::UnavailableError("the disk"));
  EXPECT_EQ(db_->CollectGarbage().status().code(), StatusCode::kUnavailable);
  ExpectKept(8, 3);
  EXPECT_TRUE(db_->CollectGarbage().ok());
  EXPECT_FALSE(std::filesystem::exists(db_->FilePath(1)));
  ExpectKept(8, 3);
}

TEST_F(ExtentGcTest, UnreadableRowsKeepTheirFiles) {
  Fill(8);
  for (int i = 0; i < 7; ++i) {
    if (i != 2) {
      ASSERT_TRUE(db_->Delete(Key(i)).ok());
    }
  }
  const ExtentPointer pointer = *db_->PointerOf(Key(2));
  db_->memory->Damage(Table::kExtents, ExtentRowKey(pointer.file, pointer.offset));
  EXPECT_EQ(db_->CollectGarbage().status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(*db_->Get(Key(2)), Payload(2));
  for (int round = 0; round < 2; ++round) {
    db_->Reopen();
    EXPECT_EQ(*db_->CollectGarbage(), 0u);
    EXPECT_EQ(*db_->Get(Key(2)), Payload(2));
    EXPECT_THAT(db_->Problems(), testing::SizeIs(2)) << "the store's verify and ours";
  }
}

TEST_F(ExtentGcTest, NothingIsReclaimedWhileRowsMayBeUnseen) {
  Fill(8);
  db_->memory->BreakIteration(Table::kExtents, absl::DataLossError("a block is damaged"));
  db_->Reopen();
  EXPECT_EQ(db_->Files().size(), 2u);
  EXPECT_EQ(*db_->CollectGarbage(), 0u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(*db_->Get(Key(i)), Payload(i));
  db_->memory->BreakIteration(Table::kExtents, absl::OkStatus());
  ExpectKept(8, 1);
}

// Stops after the n-th step, as a kill would, for every n; with and without the commits that were
// not synced.
TEST_F(ExtentGcTest, StoppedAfterAnyStepNothingIsLost) {
  for (const bool lose_power : {false, true}) {
    bool stopped = true;
    int steps = 0;
    for (int n = 0; stopped; ++n) {
      Create();
      stopped = false;
      steps = n;
      db_->environment.gc_hook = [&stopped, left = n](ExtentGcStep) mutable {
        if (left-- > 0) return absl::OkStatus();
        stopped = true;
        return absl::AbortedError("killed");
      };
      db_->Reopen();
      Fill(22);
      DeleteAllBut(22, 3);
      (void)db_->store->Write(WriteBatch(), /*sync=*/true);
      const absl::StatusOr<uint64_t> collected = db_->CollectGarbage();
      EXPECT_EQ(collected.ok(), !stopped) << collected.status();
      db_->Close();
      if (lose_power) db_->memory->LosePower(static_cast<size_t>(n) % (db_->memory->UnsyncedCommits() + 1));
      db_->environment.gc_hook = nullptr;
      db_->Open();
      ExpectKept(22, 3);
      ASSERT_TRUE(db_->CollectGarbage().ok()) << "stopped after " << n;
      ExpectKept(22, 3);
      EXPECT_LE(db_->Files().size(), 4u);
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(steps, 15);
  }
}

TEST_F(ExtentGcTest, ReadersAndWritersGoOnBesideIt) {
  Fill(60);
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      while (!stop || reads < 300) {
        const int i = static_cast<int>(random() % 20) * 3;
        const absl::StatusOr<std::string> payload = db_->Get(Key(i));
        ASSERT_TRUE(payload.ok()) << payload.status();
        ASSERT_EQ(*payload, Payload(i));
        ++reads;
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 60; ++i) {
      if (i % 3 != 0) {
        ASSERT_TRUE(db_->Delete(Key(i)).ok());
        ASSERT_TRUE(db_->Put(absl::StrCat("new", i), Payload(i)).ok());
      }
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; i < 20; ++i) {
      std::vector<std::string> problems;
      ASSERT_TRUE(db_->extents->Verify(&problems).ok());
      ASSERT_THAT(problems, IsEmpty());
    }
  });
  for (int round = 0; round < 20; ++round) ASSERT_TRUE(db_->CollectGarbage().ok());
  threads[3].join();
  ASSERT_TRUE(db_->CollectGarbage().ok());
  stop = true;
  for (const int t : {0, 1, 2, 4}) threads[t].join();
  EXPECT_EQ(db_->RowCount(), 60);
  EXPECT_THAT(db_->Problems(), IsEmpty());
  EXPECT_LE(db_->extents->Stats().bytes, db_->extents->Stats().live_bytes * 2 + (64 << 10) + 4096);
}

}  // namespace
}  // namespace larder::storage
