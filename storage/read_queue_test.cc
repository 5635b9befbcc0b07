#include "storage/read_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "storage/extent_system.h"
#include "storage/extent_test_support.h"
#include "storage/posix_file.h"
#include "storage/pread_pool.h"
#include "storage/uring_io.h"

namespace larder::storage {
namespace {

constexpr uint32_t kSlots = 8;
constexpr uint32_t kSlotBytes = 8192;

class ReadQueueTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::mt19937_64 random(7);
    contents_ = RandomBytes(random, 100 * 4096 + 100);
    directory_.Write("file", contents_);
    fd_ = Descriptor(ExtentSystem::Posix().Open(directory_.path("file"), O_RDONLY));
    ASSERT_TRUE(fd_.get() >= 0);
    auto queue = GetParam() ? MakeUringQueue(kSlots, kSlotBytes) : MakePreadQueue(&pool_, kSlots, kSlotBytes);
    if (!queue.ok()) GTEST_SKIP() << queue.status();  // no io_uring here
    queue_ = *std::move(queue);
  }

  TestDirectory directory_;
  std::string contents_;
  Descriptor fd_{-1};
  PreadPool pool_{3};
  std::unique_ptr<ReadQueue> queue_;
};

TEST_P(ReadQueueTest, ManyReadsThroughFewSlots) {
  std::vector<uint64_t> offset_of(kSlots);
  std::set<uint64_t> seen;
  uint64_t next = 0;
  uint32_t busy = 0;
  const auto submit = [&](uint32_t slot) {
    offset_of[slot] = next;
    ASSERT_TRUE(queue_->Submit(slot, fd_.get(), next, 0, 4096).ok());
    next += 4096;
    ++busy;
  };
  for (uint32_t slot = 0; slot < kSlots; ++slot) submit(slot);
  std::vector<ReadQueue::Completion> done;
  while (busy > 0) {
    done.clear();
    ASSERT_TRUE(queue_->Wait(&done).ok());
    ASSERT_FALSE(done.empty());
    for (const ReadQueue::Completion& completion : done) {
      --busy;
      const uint64_t offset = offset_of[completion.slot];
      ASSERT_EQ(completion.result, 4096);
      EXPECT_EQ(std::string(queue_->buffers().slot(completion.slot), 4096), contents_.substr(offset, 4096));
      seen.insert(offset);
      if (next < 100 * 4096) submit(completion.slot);
    }
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST_P(ReadQueueTest, EndOfFileAndErrorsAreResults) {
  std::vector<ReadQueue::Completion> done;
  ASSERT_TRUE(queue_->Submit(0, fd_.get(), 100 * 4096, 4096, 4096).ok());
  while (done.empty()) ASSERT_TRUE(queue_->Wait(&done).ok());
  EXPECT_EQ(done[0].result, 100);
  EXPECT_EQ(std::string(queue_->buffers().slot(0) + 4096, 100), contents_.substr(100 * 4096));
  done.clear();
  ASSERT_TRUE(queue_->Submit(1, fd_.get(), 200 * 4096, 0, 4096).ok());
  while (done.empty()) ASSERT_TRUE(queue_->Wait(&done).ok());
  EXPECT_EQ(done[0].result, 0);
  done.clear();
  ASSERT_TRUE(queue_->Submit(2, -1, 0, 0, 4096).ok());
  while (done.empty()) ASSERT_TRUE(queue_->Wait(&done).ok());
  EXPECT_EQ(done[0].slot, 2u);
  EXPECT_EQ(done[0].result, -EBADF);
}

TEST_P(ReadQueueTest, MayBeDroppedWithReadsInFlight) {
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_TRUE(queue_->Submit(slot, fd_.get(), slot * 4096, 0, 4096).ok());
  }
  std::vector<ReadQueue::Completion> done;
  ASSERT_TRUE(queue_->Wait(&done).ok());
  queue_.reset();
}

INSTANTIATE_TEST_SUITE_P(Kinds, ReadQueueTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IoUring" : "Preads"; });

TEST(ReadQueuePool, LendsEachQueueToOneReaderAndLetsTheRestWait) {
  PreadPool threads(2);
  std::atomic<int> made = 0;
  ReadQueuePool pool(
      [&] {
        ++made;
        return MakePreadQueue(&threads, 1, 4096);
      },
      2);
  std::atomic<int> lent = 0, most = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        absl::StatusOr<ReadQueuePool::Lease> lease = pool.Acquire();
        ASSERT_TRUE(lease.ok());
        const int now = ++lent;
        if (now > most) most = now;
        std::this_thread::yield();
        --lent;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_LE(most, 2);
  EXPECT_LE(made, 2);
}

TEST(ReadQueuePool, ADroppedQueueIsReplacedAndAFailureIsHandedOn) {
  PreadPool threads(1);
  int made = 0;
  bool fail = false;
  ReadQueuePool pool(
      [&]() -> absl::StatusOr<std::unique_ptr<ReadQueue>> {
        if (fail) return absl::ResourceExhaustedError("no more");
        ++made;
        return MakePreadQueue(&threads, 1, 4096);
      },
      4);
  { pool.Acquire()->Drop(); }
  { EXPECT_TRUE(pool.Acquire().ok()); }
  EXPECT_EQ(made, 2);
  { pool.Acquire()->Drop(); }
  fail = true;
  EXPECT_EQ(pool.Acquire().status().code(), absl::StatusCode::kResourceExhausted);
  fail = false;
  EXPECT_TRUE(pool.Acquire().ok());
}

// Containers forbid io_uring by seccomp; so do we, for this thread.
bool ForbidIoUring(int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = 4, .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(IoUringRefused, ThreadsStandIn) {
  for (const int error : {EPERM, ENOSYS}) {
    std::thread([error] {
      if (!ForbidIoUring(error)) GTEST_SKIP() << "no seccomp here";
      EXPECT_EQ(MakeUringQueue(kSlots, kSlotBytes).status().code(), absl::StatusCode::kUnavailable);
      ExtentTestDatabase db;
      db.Open();
      EXPECT_FALSE(db.extents->Stats().io_uring);
      ASSERT_TRUE(db.Put("key", std::string(300000, 'x')).ok());
      EXPECT_EQ(*db.Get("key"), std::string(300000, 'x'));
    }).join();
  }
}

}  // namespace
}  // namespace larder::storage
