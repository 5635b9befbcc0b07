// A full disk: writes are refused with ResourceExhausted, reads go on, and when space is freed writes
// go on too, without a restart and with nothing lost. Needs the right to mount a tmpfs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "larder/database.h"
#include "tests/support/crash_kv.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

namespace fs = std::filesystem;

class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=160m") != 0) {
      GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
  }
  // Leaves about `free_bytes` on the disk.
  void Fill(uint64_t free_bytes) {
    const uint64_t available = fs::space(dir_.path()).available;
    std::ofstream filler(dir_ / "filler", std::ios::binary);
    const std::string block(1 << 20, 'f');
    for (uint64_t left = available - free_bytes; left > block.size(); left -= block.size()) filler << block;
  }
  void Free() { fs::remove(dir_ / "filler"); }

  TempDir dir_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, RefusesReadsOnAndRecovers) {
  OpenOptions options;
  options.create_if_missing = true;
  options.write_buffer_bytes = 4 << 20;
  auto opened = Database::Open(dir_ / "db", options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<Database> db = *std::move(opened);
  Collection docs = *db->CreateCollection("docs", VectorsOnly(256));
  const std::string profile = *db->kv().RegisterProfile(CrashProfile("raw"));
  Fill(24 << 20);
  std::mt19937_64 random(6);
  int stored = 0;
  absl::Status full;
  for (; stored < 100'000 && full.ok(); ++stored) {
    Document document = DocumentOf("d" + std::to_string(stored), RandomVector(256, random));
    document.text = "text";
    full = docs.Upsert(document).status();
    if (!full.ok()) break;
  }
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  ASSERT_GT(stored, 100);
  SearchRequest request;
  request.vector = RandomVector(256, random);
  EXPECT_EQ(docs.Search(request)->hits.size(), 10u) << "reads go on";
  EXPECT_TRUE(docs.Get("d0").ok());

  Free();
  absl::Status resumed;
  const absl::Time start = absl::Now();
  do {
    resumed = docs.Upsert(DocumentOf("after", RandomVector(256, random))).status();
    if (!resumed.ok()) absl::SleepFor(absl::Milliseconds(200));
  } while (!resumed.ok() && absl::Now() - start < absl::Seconds(30));
  EXPECT_TRUE(resumed.ok()) << resumed;
  EXPECT_TRUE(PutCrashKv(&db->kv(), "raw", CrashKey(profile, "d1", 1), "d1")) << "extents are written again too";
  std::printf("%d documents until full; writes again after %.1f s\n", stored, absl::ToDoubleSeconds(absl::Now() - start));

  ASSERT_TRUE(db->Close().ok());
  db.reset();
  opened = Database::Open(dir_ / "db", options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  docs = *(*opened)->GetCollection("docs");
  for (int i = 0; i < stored; ++i) ASSERT_TRUE(docs.Get("d" + std::to_string(i)).ok()) << i;
  EXPECT_TRUE(docs.Get("after").ok());
  // The write that failed was not acknowledged: it may be there or not, but nothing else.
  EXPECT_LE(*docs.Count(), static_cast<uint64_t>(stored) + 2);
  EXPECT_THAT((*opened)->Verify()->problems, ::testing::ElementsAre());
}

}  // namespace
}  // namespace larder::testing
