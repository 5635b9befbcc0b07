#include "engine/kv/kv_shared.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_test_database.h"

namespace larder::kv {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kPoolBytes = 16 << 20;

absl::StatusOr<KvView> AcquireOne(TestDatabase& db, const KvKey& key) {
  return std::move(db.kv().Acquire({&key, 1})[0]);
}

// Empty, or how the view differs from what Put(key, seed) wrote.
std::string ViewDifference(const KvView& view, int seed) {
  if (view.layers() != 3 || view.tokens() != 16) return "shape";
  for (uint32_t i = 0; i < 3; ++i) {
    const auto layer = view.Layer(i);
    if (!layer.ok()) return layer.status().ToString();
    if (layer->k != Payload(512, seed, i, false)) return absl::StrCat("layer ", i, " K");
    if (layer->v != Payload(512, seed, i, true)) return absl::StrCat("layer ", i, " V");
  }
  return "";
}

// The line of /proc/self/maps that an address lies in.
std::string MappingOf(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (at >= begin && at < end) return line;
  }
  return "";
}

TEST(KvAcquire, APutIsInSharedMemoryWhenItIsCommitted) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  EXPECT_EQ(db.impl().pool()->Stats().entries, 1u);
  const auto view = AcquireOne(db, key);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(ViewDifference(*view, 1), "");
  EXPECT_EQ(db.impl().pool()->Stats().misses, 0u);
}

TEST(KvAcquire, APutIsNotReadBack) {
  TestDatabase db(1 << 20, kPoolBytes);
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  storage::ExtentPointer next = db.Record(db.Key(1))->layers[2].v;
  next.offset += 4'096;  // where the next payload goes
  const auto handle = db.kv().PutBegin({db.Key(2), {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  ASSERT_TRUE(db.PutLayers(*handle, db.Key(2), 2).ok());
  ASSERT_TRUE(db.extents().Sync().ok());
  db.Damage(next);
  ASSERT_TRUE(db.kv().PutCommit(*handle).ok());
  ASSERT_EQ(db.Record(db.Key(2))->layers[0].k.offset, next.offset);
  EXPECT_EQ(db.kv().Lookup({{db.Key(2)}})->front().bytes, 3'072u);
  EXPECT_EQ(ViewDifference(*AcquireOne(db, db.Key(2)), 2), "");
}

TEST(KvAcquire, WhatSavesMostSecondsStaysInSharedMemory) {
  TestDatabase db(1 << 20, 4 << 20);
  for (int seed = 1; seed <= 400; ++seed) {
    const auto handle = db.kv().PutBegin(
        {.key = db.Key(seed), .owners = {}, .compute_seconds = seed == 1 ? 5 : 0.001});
    ASSERT_TRUE(handle.ok()) << handle.status();
    ASSERT_TRUE(db.PutLayers(*handle, db.Key(seed), seed).ok());
    ASSERT_TRUE(db.kv().PutCommit(*handle).ok());
  }
  const auto there = [&](int seed) { return db.impl().pool()->Contains(*EntryKey(db.Key(seed))); };
  EXPECT_GT(db.impl().pool()->Stats().evictions, 100u);
  EXPECT_TRUE(there(1)) << "as many tokens as the others, and worth 5,000 of them";
  EXPECT_FALSE(there(2));
}

TEST(KvAcquire, AViewLiesInTheMappingAndCannotBeWrittenTo) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  const KvView first = *AcquireOne(db, key), second = *AcquireOne(db, key);
  const char* const k = first.Layer(0)->k.data();
  EXPECT_EQ(k, second.Layer(0)->k.data()) << "two views, one copy";
  EXPECT_THAT(MappingOf(k), ::testing::AllOf(HasSubstr("r--s"), HasSubstr("memfd:larder-kv")));
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(*const_cast<char*>(k) = 'x', "");
}

TEST(KvAcquire, BringsWhatIsOnDisk) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1, "t");
  ASSERT_TRUE(db.Put(key, 1).ok());
  db.Reopen();
  EXPECT_EQ(db.impl().pool()->Stats().entries, 0u);
  EXPECT_EQ(ViewDifference(*AcquireOne(db, key), 1), "");
  EXPECT_EQ(db.impl().pool()->Stats().entries, 1u);
  EXPECT_EQ(ViewDifference(*AcquireOne(db, key), 1), "");
  EXPECT_EQ(db.impl().pool()->Stats().misses, 1u);
}

TEST(KvAcquire, AnswersEachKeyByItself) {
  TestDatabase db(1 << 20, kPoolBytes);
  ASSERT_TRUE(db.Put(db.Key(1, "t"), 1).ok());
  ASSERT_TRUE(db.Put(db.Key(3, "t"), 3).ok());
  KvKey bad = db.Key(1, "t");
  bad.tokens = {-1};
  const std::vector<KvKey> keys = {db.Key(1, "t"), db.Key(2, "t"), bad, db.Key(1, "u"), db.Key(3, "t")};
  const auto views = db.kv().Acquire(keys);
  ASSERT_EQ(views.size(), 5u);
  EXPECT_EQ(ViewDifference(*views[0], 1), "");
  EXPECT_EQ(views[1].status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(views[2].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(views[3].status().code(), absl::StatusCode::kNotFound) << "another tenant's";
  EXPECT_EQ(ViewDifference(*views[4], 3), "");
}

TEST(KvAcquire, AReleasedViewIsRefusedByName) {
  TestDatabase db(1 << 20, kPoolBytes);
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  KvView view = *AcquireOne(db, db.Key(1));
  EXPECT_EQ(view.Layer(3).status().code(), absl::StatusCode::kInvalidArgument);
  view.Release();
  const auto layer = view.Layer(0);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(layer.status().message()), HasSubstr("it was released"));
  EXPECT_EQ(db.impl().pool()->Stats().leases, 0u);
}

TEST(KvAcquire, ADocumentsDeletionIsSeenAtOnceAndItsReaderKeepsTheBytes) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(7)}).ok());
  const KvView view = *AcquireOne(db, key);
  const uint64_t chunk = 7;
  ASSERT_TRUE(db.DeleteChunks({&chunk, 1}).ok());
  EXPECT_EQ(AcquireOne(db, key).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.impl().pool()->Stats().entries, 0u);
  EXPECT_EQ(ViewDifference(view, 1), "");
  EXPECT_THAT(db.Problems(), IsEmpty());
}

TEST(KvAcquire, ADeletedKeyIsGoneFromBothTiers) {
  TestDatabase db(1 << 20, kPoolBytes);
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  ASSERT_TRUE(*db.kv().Delete(db.Key(1)));
  EXPECT_EQ(AcquireOne(db, db.Key(1)).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(db.Put(db.Key(1), 2).ok());
  EXPECT_EQ(ViewDifference(*AcquireOne(db, db.Key(1)), 2), "");
}

TEST(KvAcquire, NamesAndDropsWhatIsDamagedOnDisk) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  db.Reopen();
  db.Damage(db.Record(key)->layers[2].k);
  const auto view = AcquireOne(db, key);
  EXPECT_EQ(view.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(view.status().message()), HasSubstr("layer 2 K"));
  EXPECT_EQ(AcquireOne(db, key).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(db.impl().pool()->Stats().entry_bytes, 0u);
}

TEST(KvAcquire, SaysThatThereIsNoSharedMemory) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
  const auto view = AcquireOne(db, db.Key(1));
  EXPECT_EQ(view.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(view.status().message()), HasSubstr("kv_pool_bytes"));
}

TEST(KvAcquire, AViewMayOutliveItsDatabase) {
  KvView view;
  {
    TestDatabase db(1 << 20, kPoolBytes);
    ASSERT_TRUE(db.Put(db.Key(1), 1).ok());
    view = *AcquireOne(db, db.Key(1));
  }
  EXPECT_EQ(ViewDifference(view, 1), "");
}

TEST(KvAcquire, AReadOfAllLayersFromDiskBringsThemAndTheNextIsServedFromMemory) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  db.Reopen();
  ASSERT_TRUE(db.kv().Get(key, 1, 2).ok());
  EXPECT_EQ(db.impl().pool()->Stats().entries, 0u) << "two of three layers are no entry";
  EXPECT_EQ(db.Difference(key, 1), "");
  EXPECT_EQ(db.impl().pool()->Stats().entries, 1u);
  db.Damage(db.Record(key)->layers[1].k);
  EXPECT_EQ(db.Difference(key, 1), "") << "no disk was asked";
  EXPECT_EQ(ViewDifference(*AcquireOne(db, key), 1), "");
  EXPECT_EQ(db.impl().pool()->Stats().leases, 0u);
}

TEST(KvAcquire, AReadOfADamagedEntryPublishesNothing) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  ASSERT_TRUE(db.Put(key, 1).ok());
  db.Reopen();
  db.Damage(db.Record(key)->layers[2].v);
  EXPECT_EQ(db.kv().Get(key).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(db.impl().pool()->Stats().entries, 0u);
  EXPECT_EQ(db.impl().pool()->Stats().entry_bytes, 0u);
}

// An entry that is put, deleted and acquired at once: whoever gets a view gets a version that was put,
// and after a delete has returned nothing of before it is found.
TEST(KvAcquire, DeletionsAndPromotionsDoNotCross) {
  TestDatabase db(1 << 20, kPoolBytes);
  const KvKey key = db.Key(1);
  std::atomic<bool> stop = false;
  std::atomic<int> version = 0, wrong = 0, seen = 0;  // version: the last that was deleted
  const auto read = [&] {
    while (!stop) {
      const int deleted = version.load();
      const auto view = AcquireOne(db, key);
      if (!view.ok()) continue;
      ++seen;
      int found = 0;
      for (int i = 1; i <= 200 && found == 0; ++i) {
        if (view->Layer(0)->k == Payload(512, i, 0, false)) found = i;
      }
      if (found <= deleted || ViewDifference(*view, found) != "") ++wrong;
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);
  for (int i = 1; i <= 150; ++i) {
    ASSERT_TRUE(db.Put(key, i).ok());
    if (i % 2 == 0) absl::SleepFor(absl::Microseconds(200));  // time to be seen
    if (i % 3 == 0) db.impl().pool()->Drop(*EntryKey("", key.profile_id, key.tokens));  // as if evicted
    ASSERT_TRUE(*db.kv().Delete(key));
    version = i;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(seen.load(), 0);
}

}  // namespace
}  // namespace larder::kv
