// A search brings the KV of what it found into shared memory.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "larder/database.h"
#include "tests/support/crash_kv.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

OpenOptions WithPool() {
  OpenOptions options;
  options.create_if_missing = true;
  options.kv_pool_bytes = 16 << 20;
  return options;
}

uint64_t InMemory(Database* db) { return db->kv().Stats()->tiers.at(1).entries; }

TEST(KvPrefetch, OfASearchsHits) {
  const TempDir dir;
  std::string profile_id;
  {
    auto db = Database::Open(dir / "db", WithPool());
    ASSERT_TRUE(db.ok()) << db.status();
    auto docs = (*db)->CreateCollection("docs", VectorsOnly(2, IndexKind::kFlat));
    ASSERT_TRUE(docs.ok()) << docs.status();
    profile_id = *(*db)->kv().RegisterProfile(CrashProfile("raw"));
    for (const char* id : {"near", "far"}) {
      const std::vector<float> vector = {1, id == std::string("near") ? 0.f : -5.f};
      const auto stored = docs->Upsert(DocumentOf(id, vector, {}));
      ASSERT_TRUE(stored.ok()) << stored.status();
      ASSERT_TRUE(PutCrashKv(&(*db)->kv(), "raw", CrashKey(profile_id, id, 1), id));
    }
  }
  auto db = Database::Open(dir / "db", WithPool());
  ASSERT_TRUE(db.ok()) << db.status();
  const auto docs = (*db)->GetCollection("docs");
  SearchRequest request;
  request.vector = {1, 0};
  request.k = 1;
  ASSERT_TRUE(docs->Search(request).ok());
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(InMemory(db->get()), 0u) << "nobody asked for it";
  request.prefetch_kv = profile_id;
  ASSERT_TRUE(docs->Search(request).ok());
  for (int i = 0; i < 5'000 && InMemory(db->get()) == 0; ++i) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(InMemory(db->get()), 1u);
  const std::vector<KvKey> keys = {CrashKey(profile_id, "near", 1)};
  EXPECT_TRUE((*db)->kv().Acquire(keys)[0].ok());
  EXPECT_EQ((*db)->kv().Stats()->tiers[1].hits, 1u) << "it was there before it was acquired";

  request.prefetch_kv = std::string(64, 'a');
  EXPECT_EQ(docs->Search(request).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace larder::testing
