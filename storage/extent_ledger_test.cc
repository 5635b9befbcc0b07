#include "storage/extent_ledger.h"

#include <gtest/gtest.h>

#include <vector>

namespace larder::storage {
namespace {

constexpr ExtentPointer kA{.file = 1, .offset = 4096, .length = 100};
constexpr ExtentPointer kB{.file = 1, .offset = 8192, .length = 5000};

class ExtentLedgerTest : public testing::Test {
 protected:
  ExtentLedgerTest() { ledger_.Add(1, {.end = 4096}); }
  uint64_t live() const { return ledger_.Find(1)->live_bytes; }
  uint64_t extents() const { return ledger_.Find(1)->live_extents; }
  ExtentLedger ledger_;
};

TEST_F(ExtentLedgerTest, AppendsCountAsLiveUntilForgotten) {
  ledger_.Appended(kA);
  ledger_.Appended(kB);
  EXPECT_EQ(live(), 4096u + 8192u);
  EXPECT_EQ(ledger_.Find(1)->end, 8192u + 8192u);
  ledger_.Forgotten(kB);
  ledger_.Forgotten(kB);  // twice is once
  EXPECT_EQ(live(), 4096u);
  EXPECT_EQ(extents(), 1u);
  EXPECT_EQ(ledger_.Find(1)->end, 8192u + 8192u);  // the bytes are still there
}

TEST_F(ExtentLedgerTest, PendingGoesOnlyWhenItsRowIsSeen) {
  ledger_.Appended(kA);
  EXPECT_TRUE(ledger_.HasPending(1));
  EXPECT_EQ(ledger_.FilesToRecount(), std::vector<uint32_t>{1});
  ledger_.Recount(1, {});
  EXPECT_TRUE(ledger_.HasPending(1));
  EXPECT_EQ(live(), 4096u);
  ledger_.Recount(1, {kA});
  EXPECT_FALSE(ledger_.HasPending(1));
  EXPECT_EQ(live(), 4096u);
  EXPECT_TRUE(ledger_.FilesToRecount().empty());
}

TEST_F(ExtentLedgerTest, ABatchWithAReleaseThatIsNeverWrittenIsPutRight) {
  ledger_.Appended(kA);
  ledger_.Recount(1, {kA});
  ledger_.Released(kA);
  ledger_.Released(kA);  // the batch was built twice
  EXPECT_EQ(live(), 0u);
  EXPECT_TRUE(ledger_.IsReleasing(kA));
  ledger_.Recount(1, {kA});  // the row is still there, so the note stays
  EXPECT_EQ(live(), 0u);
  EXPECT_TRUE(ledger_.IsReleasing(kA));
  ledger_.Recount(1, {});
  EXPECT_FALSE(ledger_.IsReleasing(kA));
  EXPECT_EQ(live(), 0u);
  EXPECT_EQ(extents(), 0u);
}

TEST_F(ExtentLedgerTest, ReferencedAndReleasedBeforeAnyRecountLeavesNothing) {
  ledger_.Appended(kA);
  ledger_.Released(kA);
  EXPECT_FALSE(ledger_.HasPending(1));
  ledger_.Recount(1, {});
  EXPECT_EQ(live(), 0u);
  EXPECT_TRUE(ledger_.FilesToRecount().empty());
}

TEST_F(ExtentLedgerTest, MovesByGarbageCollectionNeedNoRecount) {
  ledger_.Add(2, {.end = 4096});
  ledger_.Appended(kA);
  ledger_.Recount(1, {kA});
  const ExtentPointer copy{.file = 2, .offset = 4096, .length = kA.length};
  ledger_.Appended(copy);
  ledger_.Referenced(copy);
  ledger_.Dropped(kA);
  EXPECT_EQ(live(), 0u);
  EXPECT_EQ(ledger_.Find(2)->live_bytes, 4096u);
  EXPECT_TRUE(ledger_.FilesToRecount().empty());
}

TEST_F(ExtentLedgerTest, FileNumbersThatHaveBeen) {
  EXPECT_FALSE(ledger_.HasEverBeen(0));
  EXPECT_TRUE(ledger_.HasEverBeen(1));
  EXPECT_FALSE(ledger_.HasEverBeen(2));
  ledger_.Remove(1);
  EXPECT_TRUE(ledger_.HasEverBeen(1));
  EXPECT_FALSE(ledger_.Find(1).has_value());
  ledger_.Add(kMaxExtentFile, {});
  EXPECT_EQ(ledger_.next_file(), kMaxExtentFile);
}

}  // namespace
}  // namespace larder::storage
