// What the store does when writes and syncs fail: never acknowledge what may be lost, go on by itself
// once a full disk has room again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/fault_env.h"
#include "storage/store_impl.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

constexpr StoreOptions kCreate = {.create_if_missing = true};

bool IsLog(const std::string& file) { return absl::EndsWith(file, ".log"); }

class StoreFault : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open(FileSystem& files = FileSystem::Posix(), StoreOptions options = kCreate) {
    auto store = OpenStore(dir_.path("db"), options, {env_.get(), &files});
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // Key and value are the attempt's number; remembers what was acknowledged.
  absl::StatusOr<uint64_t> Put(Store& store, bool sync = true) {
    const std::string key = absl::StrCat("key", ++attempts_);
    WriteBatch batch;
    batch.Put(Table::kDocuments, key, std::string(200, static_cast<char>(attempts_)));
    batch.Count(Counter::kDocuments, 1);
    auto commit = store.Write(std::move(batch), sync);
    if (commit.ok()) acknowledged_[*commit] = key;
    return commit;
  }

  // Opens `name` and demands all that was acknowledged, nothing half done, and no number twice.
  void CheckNothingLost(const std::string& name) {
    auto store = Store::Open(dir_.path(name), {});
    ASSERT_TRUE(store.ok()) << store.status();
    for (const auto& [commit, key] : acknowledged_) {
      EXPECT_TRUE((*store)->Get(Table::kDocuments, key).ok()) << key << " of commit " << commit;
    }
    int64_t rows = 0;
    auto it = (*store)->NewIterator(Table::kDocuments, "");
    for (; it->Valid(); it->Next()) rows += it->value().ok();
    it.reset();
    EXPECT_EQ((*store)->state().counters[0], rows);
    EXPECT_EQ((*store)->state().commit, static_cast<uint64_t>(rows));
  }

  TestDirectory dir_;
  FaultPlan plan_;
  std::unique_ptr<rocksdb::Env> env_ = NewFaultEnv(plan_);
  int attempts_ = 0;
  std::map<uint64_t, std::string> acknowledged_;
};

TEST_F(StoreFault, AFailedLogSyncStopsAcknowledgements) {
  for (int fail_at : {1, 2, 5, 12}) {
    auto store = Open();
    int syncs = 0;
    plan_.Set([&](FaultOp op, const std::string& file) {
      const bool fails = op == FaultOp::kSync && IsLog(file) && ++syncs == fail_at;
      return fails ? rocksdb::IOStatus::IOError("injected") : rocksdb::IOStatus::OK();
    });
    for (int i = 1; i < fail_at; ++i) ASSERT_TRUE(Put(*store).ok());
    const absl::Status failed = Put(*store).status();
    EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
    EXPECT_THAT(failed.message(), HasSubstr("until it is reopened"));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kUnavailable);
    for (const auto& [commit, key] : acknowledged_) EXPECT_TRUE(store->Get(Table::kDocuments, key).ok());
    EXPECT_FALSE(store->Close().ok());
    store.reset();
    plan_.Clear();
    CheckNothingLost("db");
  }
}

TEST_F(StoreFault, TheMarkNeverClaimsWhatIsNotDurable) {
  auto store = Open(FileSystem::Posix(), {.create_if_missing = true,
                                             .mark_interval = absl::Hours(1)});
  ASSERT_TRUE(Put(*store).ok());
  ASSERT_TRUE(Put(*store, /*sync=*/false).ok());
  plan_.Set([](FaultOp op, const std::string& file) {
    return op == FaultOp::kSync && IsLog(file) ? rocksdb::IOStatus::IOError("injected")
                                               : rocksdb::IOStatus::OK();
  });
  EXPECT_EQ(store->WriteMark().code(), absl::StatusCode::kUnavailable);
  plan_.Clear();
  // A later sync would succeed, but what the first one failed to write may be gone.
  EXPECT_EQ(store->WriteMark().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadMarkFile(dir_.path("db/COMMITTED"))->record.state.commit, 0u);
  store.reset();
  EXPECT_EQ(ReadMarkFile(dir_.path("db/COMMITTED"))->record.state.commit, 0u);
  CheckNothingLost("db");
}

TEST_F(StoreFault, TheMarkFollowsUnsyncedCommits) {
  auto store =
      Open(FileSystem::Posix(), {.create_if_missing = true,
                                             .mark_interval = absl::Milliseconds(20)});
  int syncs = 0;
  plan_.Set([&](FaultOp op, const std::string& file) {
    syncs += op == FaultOp::kSync && IsLog(file);
    return rocksdb::IOStatus::OK();
  });
  ASSERT_TRUE(Put(*store, /*sync=*/false).ok());
  for (int i = 0; i < 500 && ReadMarkFile(dir_.path("db/COMMITTED"))->record.state.commit < 1; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(ReadMarkFile(dir_.path("db/COMMITTED"))->record.state.commit, 1u);
  plan_.Clear();
  EXPECT_GE(syncs, 1);
}

// A full disk leaves half a record at the log's end. With and without anything in memory, since the
// flush that begins a new log has nothing to do in an empty store.
TEST_F(StoreFault, GoesOnAfterAFullDisk) {
  for (const bool empty_memory : {false, true}) {
    for (int fail_at : {1, 2, 7}) {
      SCOPED_TRACE(absl::StrCat("append ", fail_at, empty_memory ? ", nothing in memory" : ""));
      auto store = Open();
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(Put(*store).ok());
      if (empty_memory) {
        ASSERT_TRUE(store->Compact().ok());
      }
      int appends = 0;
      plan_.Set([&](FaultOp op, const std::string& file) {
        const bool fails = op == FaultOp::kAppend && IsLog(file) && ++appends >= fail_at;
        return fails ? rocksdb::IOStatus::NoSpace("injected") : rocksdb::IOStatus::OK();
      });
      absl::Status failed;
      for (int i = 0; i < 20 && failed.ok(); ++i) failed = Put(*store).status();
      EXPECT_EQ(failed.code(), absl::StatusCode::kResourceExhausted) << failed;
      EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_TRUE(store->Get(Table::kDocuments, "key1").ok());
      plan_.Clear();
      const absl::Time freed = absl::Now();
      while (!Put(*store).ok() && absl::Now() - freed < absl::Seconds(30))
        absl::SleepFor(absl::Milliseconds(50));
      EXPECT_LT(absl::Now() - freed, absl::Seconds(10));
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(Put(*store).ok());
      ASSERT_TRUE(store->WriteMark().ok());
      dir_.Copy("db", "crashed");
      CheckNothingLost("crashed");
      EXPECT_TRUE(store->Close().ok());
      CheckNothingLost("db");
    }
  }
}

// RocksDB cannot be opened anew under an iterator: it goes on reading, and writes go on once it is gone.
TEST_F(StoreFault, AnIteratorOutlivesAFullDisk) {
  auto store = Open();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Put(*store).ok());
  plan_.Set([](FaultOp op, const std::string& file) {
    return op == FaultOp::kAppend && IsLog(file) ? rocksdb::IOStatus::NoSpace("injected")
                                                 : rocksdb::IOStatus::OK();
  });
  auto it = store->NewIterator(Table::kDocuments, "");
  EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kResourceExhausted);
  plan_.Clear();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(store->Get(Table::kDocuments, "key1").ok());
    absl::SleepFor(absl::Milliseconds(250));
  }
  int rows = 0;
  for (; it->Valid(); it->Next()) rows += it->value().ok();
  EXPECT_EQ(rows, 5);
  it.reset();
  const absl::Time freed = absl::Now();
  while (!Put(*store).ok() && absl::Now() - freed < absl::Seconds(30)) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_LT(absl::Now() - freed, absl::Seconds(10));
  EXPECT_TRUE(store->Close().ok());
  CheckNothingLost("db");
}

TEST_F(StoreFault, GoesOnAfterALogSyncFoundTheDiskFull) {
  auto store = Open();
  ASSERT_TRUE(Put(*store).ok());
  plan_.Set([](FaultOp op, const std::string& file) {
    return op == FaultOp::kSync && IsLog(file) ? rocksdb::IOStatus::NoSpace("injected")
                                               : rocksdb::IOStatus::OK();
  });
  EXPECT_EQ(Put(*store).status().code(), absl::StatusCode::kResourceExhausted);
  plan_.Clear();
  const absl::Time freed = absl::Now();
  while (!Put(*store).ok() && absl::Now() - freed < absl::Seconds(30)) absl::SleepFor(absl::Milliseconds(50));
  ASSERT_TRUE(Put(*store).ok());
  dir_.Copy("db", "crashed");
  CheckNothingLost("crashed");
  EXPECT_TRUE(store->Close().ok());
  CheckNothingLost("db");
}

TEST_F(StoreFault, KeepsAReserveForDeletes) {
  FaultFiles files([](int, const std::string&) { return absl::OkStatus(); });
  auto store = Open(files);
  ASSERT_TRUE(Put(*store).ok());
  files.SetAvailable(1 << 20);
  const absl::Status refused = Put(*store).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("1048576 bytes of disk left"));
  WriteBatch batch;
  batch.Delete(Table::kDocuments, "key1");
  batch.Delete(Table::kSources, "key1");
  batch.Put(Table::kTombstones, "key1", "");
  batch.Count(Counter::kDocuments, -1);
  EXPECT_TRUE(store->Write(std::move(batch)).ok());
  files.SetAvailable(1 << 30);
  EXPECT_TRUE(Put(*store).ok());
}

TEST_F(StoreFault, AFailingMarkDoesNotStopCommits) {
  bool fail = false;
  FaultFiles files(
      [&](int, const std::string&) { return fail ? absl::UnavailableError("injected") : absl::OkStatus(); });
  {
    auto store = Open(files, {.create_if_missing = true,
                                             .mark_interval = absl::Hours(1)});
    fail = true;
    ASSERT_TRUE(Put(*store).ok());
    EXPECT_EQ(store->WriteMark().code(), absl::StatusCode::kUnavailable);
    ASSERT_TRUE(Put(*store).ok());
    EXPECT_EQ(store->Close().code(), absl::StatusCode::kUnavailable);
  }
  CheckNothingLost("db");
}

// Every append and sync of RocksDB fails in its turn: once, and from then on; for an error and for a
// full disk. The store is opened, written, flushed and closed meanwhile.
TEST_F(StoreFault, LosesNothingWhicheverOperationFails) {
  { ASSERT_NE(Open(), nullptr); }
  for (const bool sticky : {false, true}) {
    for (const bool full : {false, true}) {
      int failures = 0;
      for (int fail_at = 1; fail_at < 400; fail_at += 1 + fail_at / 4) {
        SCOPED_TRACE(absl::StrCat(full ? "full disk" : "error", sticky ? " from " : " at ", fail_at));
        std::atomic<int> operations = 0;
        plan_.Set([&](FaultOp, const std::string&) {
          const int number = ++operations;
          if (sticky ? number < fail_at : number != fail_at) return rocksdb::IOStatus::OK();
          return full ? rocksdb::IOStatus::NoSpace("injected") : rocksdb::IOStatus::IOError("injected");
        });
        auto store = OpenStore(dir_.path("db"), {}, {env_.get(), &FileSystem::Posix()});
        if (store.ok()) {
          for (int i = 0; i < 6; ++i) {
            const absl::Status status = Put(**store, /*sync=*/i % 2 == 0).status();
            EXPECT_TRUE(status.ok() || absl::IsUnavailable(status) || absl::IsResourceExhausted(status))
                << status;
            if (i == 3) (*store)->Compact().IgnoreError();
          }
          (*store)->Close().IgnoreError();
          store->reset();
        }
        failures += operations >= fail_at;
        plan_.Clear();
        CheckNothingLost("db");
        if (operations < fail_at) break;
      }
      EXPECT_GT(failures, 10);
    }
  }
}

// Creation fails at, and the machine stops at, each of its steps.
TEST_F(StoreFault, AnInterruptedCreationStartsOver) {
  for (int fail_at = 1;; ++fail_at) {
    SCOPED_TRACE(fail_at);
    const std::string name = absl::StrCat("new", fail_at);
    bool reached = false;
    FaultFiles files([&](int number, const std::string&) {
      if (number < fail_at) return absl::OkStatus();
      if (!reached && dir_.Exists(name)) dir_.Copy(name, "stopped");
      reached = true;
      return absl::UnavailableError("injected");
    });
    auto store = OpenStore(dir_.path(name), kCreate, {nullptr, &files});
    if (!reached) {
      ASSERT_TRUE(store.ok()) << store.status();
      EXPECT_GT(fail_at, 8);
      break;
    }
    EXPECT_EQ(store.status().code(), absl::StatusCode::kUnavailable);
    for (const std::string& again : {name, std::string("stopped")}) {
      auto opened = Store::Open(dir_.path(again), kCreate);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ(*(*opened)->Write(WriteBatch()), 1u);
      EXPECT_FALSE(dir_.Exists(again + "/CREATING"));
    }
  }
}

}  // namespace
}  // namespace larder::storage
