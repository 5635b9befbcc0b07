#include "engine/kv/kv_locks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace larder::kv {
namespace {

constexpr absl::Duration kBlocked = absl::Milliseconds(30);

TEST(KeyLocks, AHeldKeyMakesOthersWaitUntilItIsLetGo) {
  KeyLocks locks;
  KeyLocks::Held held = locks.Acquire({"a", "b", "a"});
  absl::Notification other, same;
  std::thread free([&] {
    const auto h = locks.Acquire({"c"});
    other.Notify();
  });
  std::thread blocked([&] {
    const auto h = locks.Acquire({"b", "c"});
    same.Notify();
  });
  other.WaitForNotification();
  EXPECT_FALSE(same.WaitForNotificationWithTimeout(kBlocked));
  held.Release();
  same.WaitForNotification();
  free.join();
  blocked.join();
}

TEST(KeyLocks, MovingKeepsTheKeysHeld) {
  KeyLocks locks;
  KeyLocks::Held a = locks.Acquire({"a"});
  KeyLocks::Held moved = std::move(a);
  a.Release();  // holds nothing any more
  absl::Notification got;
  std::thread waiter([&] {
    const auto h = locks.Acquire({"a"});
    got.Notify();
  });
  EXPECT_FALSE(got.WaitForNotificationWithTimeout(kBlocked));
  moved = KeyLocks::Held();  // assignment lets go
  got.WaitForNotification();
  waiter.join();
}

TEST(KeyLocks, AllWaitsForEveryKeyAndKeepsNewcomersOut) {
  KeyLocks locks;
  KeyLocks::Held held = locks.Acquire({"a"});
  absl::Notification all, newcomer, release;
  std::thread everything([&] {
    const auto h = locks.AcquireAll();
    all.Notify();
    release.WaitForNotification();
  });
  EXPECT_FALSE(all.WaitForNotificationWithTimeout(kBlocked));
  held.Release();
  all.WaitForNotification();
  std::thread late([&] {
    const auto h = locks.Acquire({"b"});
    newcomer.Notify();
  });
  EXPECT_FALSE(newcomer.WaitForNotificationWithTimeout(kBlocked));
  release.Notify();
  newcomer.WaitForNotification();
  everything.join();
  late.join();
}

TEST(KeyLocks, RandomSetsExcludeEachOtherAndNeverDeadlock) {
  KeyLocks locks;
  constexpr int kKeys = 8;
  std::atomic<int> holders[kKeys] = {};
  std::atomic<int> overlaps = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 2'000; ++i) {
        std::vector<int> ids;
        std::vector<std::string> keys;
        const bool all = random() % 50 == 0;
        for (int k = 0; k < kKeys; ++k) {
          if (!all && random() % 3 != 0) continue;
          ids.push_back(k);
          keys.push_back(std::string(1, static_cast<char>('a' + k)));
        }
        const auto held = all ? locks.AcquireAll() : locks.Acquire(keys);
        for (const int k : ids) overlaps += holders[k].fetch_add(1);
        for (const int k : ids) holders[k].fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(overlaps.load(), 0);
}

}  // namespace
}  // namespace larder::kv
