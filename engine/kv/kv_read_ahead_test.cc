#include "engine/kv/kv_read_ahead.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;

std::vector<ExtentPointer> Append(TestDatabase* db, int count, uint64_t bytes) {
  std::vector<ExtentPointer> pointers;
  for (int i = 0; i < count; ++i) {
    pointers.push_back(*db->extents().Append(Payload(bytes + i, i, 0, false)));
  }
  EXPECT_TRUE(db->extents().Sync().ok());
  return pointers;
}

TEST(ReadAhead, GivesEverythingInOrderWhateverTheRoom) {
  TestDatabase db;
  for (const uint64_t bytes : {3'000, 30'000}) {  // with and without a thread
    const auto pointers = Append(&db, 50, bytes);
    for (const uint64_t room : {1ull, 10'000ull, 1ull << 20}) {
      ReadAhead ahead(&db.extents(), pointers, room);
      for (int i = 0; i < 50; ++i) EXPECT_EQ(*ahead.Next(), Payload(bytes + i, i, 0, false)) << room;
    }
  }
}

TEST(ReadAhead, PassesErrorsInTheirPlace) {
  TestDatabase db;
  const auto pointers = Append(&db, 6, 5'000);
  db.Damage(pointers[2]);
  ReadAhead ahead(&db.extents(), pointers);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(ahead.Next().status().code(), i == 2 ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk)
        << i;
  }
}

TEST(ReadAhead, MayBeLeftEarly) {
  TestDatabase db;
  const auto pointers = Append(&db, 40, 50'000);
  for (int taken = 0; taken < 5; ++taken) {
    ReadAhead ahead(&db.extents(), pointers, 100'000);
    for (int i = 0; i < taken; ++i) EXPECT_TRUE(ahead.Next().ok());
  }
}

// The store lends at most 8 queues: more readers than that, all slow, must leave one for others.
TEST(ReadAhead, SlowReadersKeepNoQueueFromOthers) {
  TestDatabase db;
  const auto pointers = Append(&db, 40, 50'000);
  std::vector<std::unique_ptr<ReadAhead>> slow;
  for (int i = 0; i < 12; ++i) {
    slow.push_back(std::make_unique<ReadAhead>(&db.extents(), pointers, 100'000));
    ASSERT_TRUE(slow.back()->Next().ok());
  }
  absl::Notification done;
  std::thread other([&] {
    EXPECT_TRUE(db.extents().Read(pointers)[39].ok());
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(20)));
  slow.clear();
  other.join();
}

}  // namespace
}  // namespace larder::kv
