#include "engine/kv/kv_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "engine/kv/kv_test_database.h"
#include "storage/extent_format.h"

namespace larder::kv {
namespace {

using storage::Table;
using storage::WriteBatch;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> KvProblems(TestDatabase* db) {
  std::vector<std::string> problems;
  const auto exists = [db](const ChunkRef& chunk) -> absl::StatusOr<bool> { return db->HasChunk(chunk.vid); };
  EXPECT_TRUE(db->impl().Verify(nullptr, exists, &problems).ok());
  return problems;
}

struct Case {
  std::string problem;
  std::function<void(TestDatabase*, const OwnerRow& row, Entry, WriteBatch*)> damage;
};

const std::vector<Case>& Cases() {
  static const auto* const kCases = new std::vector<Case>{
      {"no row from chunk to entry",
       [](auto*, auto& row, Entry, WriteBatch* batch) {
         batch->Delete(Table::kKvOwners, ChunkOwnerKey(row));
       }},
      {"no row from entry to chunk",
       [](auto*, auto& row, Entry, WriteBatch* batch) {
         batch->Delete(Table::kKvOwners, EntryOwnerKey(row));
       }},
      {"the entry does not exist",
       [](auto*, auto& row, Entry, WriteBatch* batch) { batch->Delete(Table::kKvEntries, row.entry_key); }},
      {"which does not exist",  // its extents
       [](auto*, auto& row, Entry, WriteBatch* batch) { batch->Delete(Table::kKvEntries, row.entry_key); }},
      {"the chunk does not exist",
       [](auto*, auto& row, Entry, WriteBatch* batch) {
         const OwnerRow stray{kCollection, 99, row.entry_key};
         batch->Put(Table::kKvOwners, ChunkOwnerKey(stray), "");
         batch->Put(Table::kKvOwners, EntryOwnerKey(stray), "");
       }},
      {"kv owner key",
       [](auto*, auto&, Entry, WriteBatch* batch) { batch->Put(Table::kKvOwners, "cx", ""); }},
      {"layer 2 V points to", [](TestDatabase* db, auto&, Entry entry,
                                 WriteBatch* batch) { db->extents().Release(entry.layers[2].v, batch); }},
      {"with another length or checksum",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         ++entry.layers[0].k.crc32c;
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"which belongs to another record",
       [](auto*, auto&, Entry entry, WriteBatch* batch) {
         const storage::ExtentPointer& k = entry.layers[0].k;
         batch->Put(Table::kExtents, storage::ExtentRowKey(k.file, k.offset),
                    storage::EncodeExtentRow(k, {Table::kVectors, "x"}));
       }},
      {"which does not point to it",
       [](auto*, auto& row, Entry, WriteBatch* batch) {
         const storage::ExtentPointer stray{77, 4096, 10, 0};
         batch->Put(Table::kExtents, storage::ExtentRowKey(77, 4096),
                    storage::EncodeExtentRow(stray, {Table::kKvEntries, row.entry_key}));
       }},
      {"2 layers, expected 3",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.layers.pop_back();
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"its tokens hash to",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.header.tokens = EncodeTokens(Tokens(5));
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"its record says variant 1 with context",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.header.variant = KvVariantKind::kSharedPrefix;
         entry.header.context = std::string(32, 'c');
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"sidecar 2 points to",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.sidecars.push_back({KvSidecarKind::kCentroids, {66, 4096, 10, 0}});
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"expected 15",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.header.token_count = 15;
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"its record says tenant 'x'",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         entry.header.tenant = std::string(1, 'x');
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry));
       }},
      {"record ends at byte",
       [](auto*, auto& row, Entry entry, WriteBatch* batch) {
         batch->Put(Table::kKvEntries, row.entry_key, EncodeEntry(entry).substr(0, 100));
       }},
  };
  return *kCases;
}

// One database takes all the damage, each on an entry of its own; each must add its own problem.
TEST(KvVerify, FindsEachKindOfDamage) {
  TestDatabase db;
  uint64_t vid = 0;
  for (const Case& c : Cases()) {
    const KvKey key = db.Key(static_cast<int>(++vid));
    ASSERT_TRUE(db.Put(key, 1, {db.AddChunk(vid)}).ok());
    const std::vector<std::string> before = KvProblems(&db);
    if (vid == 1) {
      EXPECT_THAT(before, IsEmpty());
    }
    WriteBatch batch;
    c.damage(&db, {kCollection, vid, *EntryKey("", key.profile_id, key.tokens)}, *db.Record(key), &batch);
    ASSERT_TRUE(db.store().Write(std::move(batch)).ok());
    std::vector<std::string> added;
    for (const std::string& problem : KvProblems(&db)) {
      if (std::find(before.begin(), before.end(), problem) == before.end()) added.push_back(problem);
    }
    EXPECT_THAT(added, Contains(HasSubstr(c.problem)));
  }
}

// The entry, its two owner rows, its summary, and the extents of three layers.
TEST(KvVerify, CountsWhatItRead) {
  TestDatabase db;
  ASSERT_TRUE(db.Put(db.Key(1), 1, {db.AddChunk(1)}).ok());
  std::vector<std::string> problems;
  EXPECT_EQ(*db.impl().Verify(nullptr, nullptr, &problems), 1u + 2 + 1 + 6);
}

}  // namespace
}  // namespace larder::kv
