#include "storage/group_commit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "storage/write_batch.h"

namespace larder::storage {
namespace {

WriteBatch BatchOf(size_t bytes) {
  WriteBatch batch;
  batch.Put(Table::kDocuments, "k", std::string(bytes, 'x'));
  return batch;
}

// Holds the first group inside Apply until `waiting` more writers had time to queue up.
class GroupCommitTest : public ::testing::Test {
 protected:
  struct Applied {
    size_t batches;
    bool sync;
  };

  absl::StatusOr<uint64_t> Apply(const std::vector<const WriteBatch*>& group, bool sync) {
    EXPECT_EQ(++inside_, 1) << "two leaders at once";
    if (applied_.empty()) {
      entered_.Notify();
      proceed_.WaitForNotification();
    }
    applied_.push_back({group.size(), sync});
    const uint64_t first = next_;
    --inside_;
    if (fail_next_) {
      fail_next_ = false;
      return absl::UnavailableError("injected");
    }
    next_ += group.size();
    return first;
  }

  // Writes one batch, then, while that is being applied, one of each of `sizes`.
  std::vector<absl::StatusOr<uint64_t>> WriteBehind(GroupCommit& group, const std::vector<size_t>& sizes,
                                                    const std::vector<bool>& syncs) {
    std::vector<absl::StatusOr<uint64_t>> results(sizes.size() + 1, uint64_t{0});
    std::vector<std::thread> threads;
    threads.emplace_back([&] { results[0] = group.Write(BatchOf(1), false); });
    entered_.WaitForNotification();
    for (size_t i = 0; i < sizes.size(); ++i) {
      threads.emplace_back([&, i] { results[i + 1] = group.Write(BatchOf(sizes[i]), syncs[i]); });
      absl::SleepFor(absl::Milliseconds(20));  // so that they queue in this order
    }
    proceed_.Notify();
    for (std::thread& thread : threads) thread.join();
    return results;
  }

  GroupCommit group_{
      [this](const std::vector<const WriteBatch*>& group, bool sync) { return Apply(group, sync); }, 1000};
  absl::Notification entered_, proceed_;
  std::atomic<int> inside_ = 0;
  std::vector<Applied> applied_;
  uint64_t next_ = 1;
  bool fail_next_ = false;
};

TEST_F(GroupCommitTest, MergesThoseThatWait) {
  const auto results = WriteBehind(group_, {10, 10, 10}, {false, true, false});
  ASSERT_EQ(applied_.size(), 2u);
  EXPECT_EQ(applied_[0].batches, 1u);
  EXPECT_FALSE(applied_[0].sync);
  EXPECT_EQ(applied_[1].batches, 3u);
  EXPECT_TRUE(applied_[1].sync);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(*results[i], i + 1);
}

TEST_F(GroupCommitTest, BoundsAGroupButTakesALargeBatchAlone) {
  const auto results = WriteBehind(group_, {600, 600, 5000, 10, 10}, {false, false, false, false, false});
  std::vector<size_t> sizes;
  for (const Applied& applied : applied_) sizes.push_back(applied.batches);
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 1, 1, 1, 2}));
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(*results[i], i + 1);
}

TEST_F(GroupCommitTest, AFailureIsEachMembersFailure) {
  fail_next_ = true;
  const auto results = WriteBehind(group_, {10, 10}, {true, true});
  EXPECT_EQ(results[0].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(*results[1], 1u);
  EXPECT_EQ(*results[2], 2u);
}

TEST(GroupCommit, ExclusivelyKeepsWritersOut) {
  std::atomic<bool> held = false;
  std::atomic<int> applied = 0, during = 0;
  GroupCommit group(
      [&](const std::vector<const WriteBatch*>& batches, bool) -> absl::StatusOr<uint64_t> {
        during += held;
        return static_cast<uint64_t>(applied += static_cast<int>(batches.size()));
      },
      1000);
  std::atomic<bool> stop = false;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      while (!stop) ASSERT_TRUE(group.Write(BatchOf(1), true).ok());
    });
  }
  for (int i = 0; i < 20; ++i) {
    const absl::Status status = group.Exclusively([&] {
      held = true;
      const int before = applied;
      absl::SleepFor(absl::Milliseconds(2));
      EXPECT_EQ(applied, before);
      held = false;
      return absl::AbortedError("passed on");
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    const int before = applied;
    while (applied == before) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(during, 0);
}

}  // namespace
}  // namespace larder::storage
