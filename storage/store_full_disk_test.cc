// A disk that is really full: a small tmpfs, where this user may mount one.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/store.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

constexpr StoreOptions kOptions = {
    .create_if_missing = true, .block_cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20};

class StoreFullDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(disk_);
    mounted_ = ::geteuid() == 0 && ::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=24m") == 0;
    if (!mounted_) GTEST_SKIP() << "needs the right to mount a tmpfs";
  }
  void TearDown() override {
    store_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount(disk_.c_str()), 0);
    }
  }

  absl::Status Put() {
    const std::string key = absl::StrCat("key", ++attempts_);
    std::string value(20000, '\0');
    for (char& c : value)
      c = static_cast<char>(state_ = state_ * 6364136223846793005u + 1442695040888963407u);
    WriteBatch batch;
    batch.Put(Table::kVectors, key, value);
    batch.Count(Counter::kChunks, 1);
    auto commit = store_->Write(std::move(batch));
    if (commit.ok()) acknowledged_[key] = value;
    return commit.status();
  }

  absl::Status DeleteOne() {
    const std::string key = acknowledged_.begin()->first;
    WriteBatch batch;
    batch.Delete(Table::kVectors, key);
    batch.Count(Counter::kChunks, -1);
    auto commit = store_->Write(std::move(batch));
    if (commit.ok()) acknowledged_.erase(key);
    return commit.status();
  }

  // Takes all space there is.
  void Fill(const std::string& name) {
    std::ofstream out(disk_ + "/" + name, std::ios::binary);
    const std::string block(64 << 10, 'x');
    while (out.write(block.data(), block.size()).flush()) continue;
  }

  void CheckAll() {
    for (const auto& [key, value] : acknowledged_)
      ASSERT_EQ(*store_->Get(Table::kVectors, key), value) << key;
    EXPECT_EQ(store_->state().counters[1], static_cast<int64_t>(acknowledged_.size()));
  }

  void WritesGoOn() {
    const absl::Time freed = absl::Now();
    absl::Status status;
    while (!(status = Put()).ok() && absl::Now() - freed < absl::Seconds(30))
      absl::SleepFor(absl::Milliseconds(100));
    ASSERT_TRUE(status.ok()) << status;
    RecordProperty("recovery_ms", absl::StrCat(absl::ToInt64Milliseconds(absl::Now() - freed)));
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(Put().ok());
    CheckAll();
    const absl::Status closed = store_->Close();
    ASSERT_TRUE(closed.ok()) << closed;
    store_ = *Store::Open(disk_ + "/db", kOptions);
    CheckAll();
  }

  TestDirectory dir_;
  const std::string disk_ = dir_.path("disk");
  bool mounted_ = false;
  std::unique_ptr<Store> store_;
  int attempts_ = 0;
  uint64_t state_ = 1;
  std::map<std::string, std::string> acknowledged_;
};

TEST_F(StoreFullDisk, OwnWritesStopAtTheReserve) {
  std::ofstream(disk_ + "/ballast") << std::string(8 << 20, 'x');
  store_ = *Store::Open(disk_ + "/db", kOptions);
  absl::Status full;
  while (full.ok()) full = Put();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  EXPECT_GT(acknowledged_.size(), 50u);
  CheckAll();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(DeleteOne(), absl::OkStatus());
  CheckAll();
  std::filesystem::remove(disk_ + "/ballast");
  WritesGoOn();
}

TEST_F(StoreFullDisk, AnotherFillsItCompletely) {
  store_ = *Store::Open(disk_ + "/db", kOptions);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Put().ok());
  Fill("ballast");
  EXPECT_EQ(Put().code(), absl::StatusCode::kResourceExhausted);
  // What passes the reserve meets the end of the disk in RocksDB's log.
  absl::Status full;
  while (full.ok() && acknowledged_.size() > 1) full = DeleteOne();
  EXPECT_TRUE(full.ok() || absl::IsResourceExhausted(full)) << full;
  CheckAll();
  std::filesystem::remove(disk_ + "/ballast");
  WritesGoOn();
}

// Whatever room is left while it opens.
TEST_F(StoreFullDisk, OpensOnAFullDiskOrSaysSo) {
  store_ = *Store::Open(disk_ + "/db", kOptions);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Put().ok());
  store_.reset();
  int opened = 0;
  for (int left = 0; left <= 1024; left = left * 3 / 2 + 4) {
    Fill("ballast");
    std::filesystem::resize_file(disk_ + "/ballast",
                                 std::filesystem::file_size(disk_ + "/ballast") - (left << 10));
    auto store = Store::Open(disk_ + "/db", kOptions);
    EXPECT_TRUE(store.ok() || absl::IsResourceExhausted(store.status())) << store.status();
    opened += store.ok();
    if (store.ok()) store->reset();
    std::filesystem::remove(disk_ + "/ballast");
    store_ = *Store::Open(disk_ + "/db", kOptions);
    CheckAll();
    store_.reset();
  }
  EXPECT_GE(opened, 1);
}

}  // namespace
}  // namespace larder::storage
