#include "engine/build_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace larder {
namespace {

TEST(BuildThreads, LendsWhatIsSpare) {
  BuildThreads threads(3);
  absl::Mutex mutex;
  std::atomic<int> ran{0};
  threads.Run(100, [&] {
    absl::MutexLock lock(&mutex);
    ++ran;
    const auto three_run = [&] { return ran == 3; };
    mutex.Await(absl::Condition(&three_run));  // ends only if three run at the same time
  });
  EXPECT_EQ(ran.load(), 3);
  ran = 0;
  threads.Run(2, [&] { ++ran; });
  EXPECT_EQ(ran.load(), 2);
  threads.Run(1, [&] { ++ran; });
  EXPECT_EQ(ran.load(), 3);
}

TEST(BuildThreads, ACallerIsAloneWhileOthersHaveThemAll) {
  BuildThreads threads(2);
  std::promise<void> both_run, ending;
  const std::shared_future<void> end = ending.get_future().share();
  std::atomic<int> first{0}, second{0};
  std::thread other([&] {
    threads.Run(2, [&] {
      if (++first == 2) both_run.set_value();
      end.wait();
    });
  });
  ASSERT_EQ(both_run.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  threads.Run(2, [&] { ++second; });
  EXPECT_EQ(second.load(), 1);
  ending.set_value();
  other.join();
  threads.Run(2, [&] { ++second; });
  EXPECT_EQ(second.load(), 3);
}

// Two callers of two threads leave none to lend: nobody else runs, however often they call.
TEST(BuildThreads, CallersCount) {
  BuildThreads threads(2);
  std::promise<void> ending;
  const std::shared_future<void> end = ending.get_future().share();
  std::atomic<int> first{0}, second{0};
  std::thread other([&] {
    threads.Run(1, [&] {
      ++first;
      end.wait();
    });
  });
  while (first == 0) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) threads.Run(8, [&] { ++second; });
  EXPECT_EQ(second.load(), 3);
  ending.set_value();
  other.join();
  EXPECT_EQ(first.load(), 1);
}

TEST(BuildThreads, OfOneIsTheCallersOwn) {
  BuildThreads threads(1);
  const std::thread::id self = std::this_thread::get_id();
  threads.Run(8, [&] { EXPECT_EQ(std::this_thread::get_id(), self); });
}

}  // namespace
}  // namespace larder
