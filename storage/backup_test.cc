#include "storage/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "storage/backup_manifest.h"
#include "storage/crc32c.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

absl::StatusCode RestoreCode(const TestDirectory& dir, const std::string& from, uint64_t id = 0) {
  std::filesystem::remove_all(dir.path("restored"));
  const absl::Status status = RestoreBackup(dir.path(from), id, dir.path("restored"));
  EXPECT_EQ(dir.Exists("restored"), status.ok()) << status;
  EXPECT_FALSE(dir.Exists("restored.restoring"));
  return status.code();
}

class Backup : public ::testing::Test {
 protected:
  void SetUp() override { store_ = *Store::Open(dir_.path("db"), {.create_if_missing = true}); }

  void Put(int i) {
    WriteBatch batch;
    batch.Put(Table::kDocuments, absl::StrCat("key", i), std::string(100 + i % 50, static_cast<char>(i)));
    batch.Count(Counter::kDocuments, 1);
    ASSERT_EQ(*store_->Write(std::move(batch)), static_cast<uint64_t>(i));
  }

  BackupInfo MustBackUp() {
    auto info = CreateBackup(*store_, nullptr, dir_.path("backups"));
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *info : BackupInfo();
  }

  // The restored database holds exactly commits 1 to `commit`.
  void CheckRestored(uint64_t commit) {
    auto store = Store::Open(dir_.path("restored"), {});
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->state().commit, commit);
    EXPECT_EQ((*store)->state().counters[0], static_cast<int64_t>(commit));
    for (uint64_t i = 1; i <= commit + 1; ++i) {
      EXPECT_EQ((*store)->Get(Table::kDocuments, absl::StrCat("key", i)).ok(), i <= commit) << i;
    }
    std::vector<std::string> problems;
    EXPECT_TRUE((*store)->Verify(nullptr, &problems).ok());
    EXPECT_THAT(problems, ::testing::IsEmpty());
  }

  // Rewrites the manifest of backup 1 with a checksum that fits.
  void Forge(const std::string& from, const std::string& to) {
    std::string text = dir_.Read("backups/000001/MANIFEST");
    text = absl::StrReplaceAll(text.substr(0, text.rfind("crc32c ")), {{from, to}});
    absl::StrAppend(&text, "crc32c ", absl::Hex(Crc32c(text), absl::kZeroPad8), "\n");
    dir_.Write("backups/000001/MANIFEST", text);
  }

  TestDirectory dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(Backup, RestoresWhatWasCommitted) {
  for (int i = 1; i <= 30; ++i) Put(i);
  const BackupInfo first = MustBackUp();
  EXPECT_EQ(first.id, 1u);
  EXPECT_EQ(first.commit, 30u);
  EXPECT_GT(first.bytes, 3000u);
  for (int i = 31; i <= 40; ++i) Put(i);
  EXPECT_EQ(MustBackUp().id, 2u);
  const auto listed = *ListBackups(dir_.path("backups"));
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].commit, 30u);
  EXPECT_EQ(listed[0].bytes, first.bytes);
  EXPECT_EQ(listed[0].created_ms, first.created_ms);
  EXPECT_EQ(listed[1].commit, 40u);
  EXPECT_EQ(RestoreCode(dir_, "backups", 1), absl::StatusCode::kOk);
  CheckRestored(30);
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kOk);
  CheckRestored(40);
  EXPECT_EQ(RestoreBackup(dir_.path("backups"), 1, dir_.path("restored")).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(RestoreCode(dir_, "backups", 3), absl::StatusCode::kNotFound);
  EXPECT_FALSE(dir_.Exists("db/staging.tmp"));
}

TEST_F(Backup, CarriesOtherFilesToo) {
  Put(1);
  auto add = [&](const std::string& target) {
    std::filesystem::create_directory(target + "/extents");
    std::ofstream(target + "/extents/000001.ext") << "payload";
    return absl::OkStatus();
  };
  ASSERT_TRUE(CreateBackup(*store_, add, dir_.path("backups")).ok());
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kOk);
  EXPECT_EQ(dir_.Read("restored/extents/000001.ext"), "payload");
  auto fail = [](const std::string&) { return absl::UnavailableError("injected"); };
  EXPECT_EQ(CreateBackup(*store_, fail, dir_.path("backups")).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(ListBackups(dir_.path("backups"))->size(), 1u);
  Put(2);
  EXPECT_EQ(MustBackUp().id, 2u);
}

TEST_F(Backup, SharesUnchangedFilesWithTheOneBeforeOnly) {
  for (int i = 1; i <= 30; ++i) Put(i);
  ASSERT_TRUE(store_->Compact().ok());
  MustBackUp();
  Put(31);
  MustBackUp();
  int shared = 0;
  for (const auto& [name, contents] : dir_.Contents("backups/000001")) {
    if (!absl::EndsWith(name, ".sst")) continue;
    const std::string sst = name.substr(name.rfind('/'));
    struct stat one, two, live;
    ASSERT_EQ(::stat(dir_.path("backups/000001/store" + sst).c_str(), &one), 0);
    ASSERT_EQ(::stat(dir_.path("db/store" + sst).c_str(), &live), 0);
    EXPECT_NE(one.st_ino, live.st_ino);
    shared += ::stat(dir_.path("backups/000002/store" + sst).c_str(), &two) == 0 && one.st_ino == two.st_ino;
  }
  EXPECT_GE(shared, 1);
  // A file that rotted in the older backup is not handed on.
  const std::string rotten = "backups/000002/COMMITTED";
  std::string bytes = dir_.Read(rotten);
  bytes[0] ^= 1;
  dir_.Write(rotten, bytes);
  MustBackUp();
  EXPECT_EQ(RestoreCode(dir_, "backups", 2), absl::StatusCode::kDataLoss);
  EXPECT_EQ(RestoreCode(dir_, "backups", 3), absl::StatusCode::kOk);
  CheckRestored(31);
}

TEST_F(Backup, EveryFlipAndCutIsRefused) {
  for (int i = 1; i <= 30; ++i) Put(i);
  MustBackUp();
  std::mt19937 random(7);
  for (const auto& [name, contents] : dir_.Contents("backups/000001")) {
    for (int i = 0; i < 8; ++i) {
      std::string bytes = contents;
      if (i == 0) {
        bytes += "x";
      } else if (i == 1 && !bytes.empty()) {
        bytes.pop_back();
      } else if (!bytes.empty()) {
        bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
      }
      dir_.Write(name, bytes);
      const absl::StatusCode code = RestoreCode(dir_, "backups");
      EXPECT_EQ(code, bytes == contents ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss)
          << name << " " << i;
    }
    std::filesystem::remove(dir_.path(name));
    EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kDataLoss) << name;
    dir_.Write(name, contents);
  }
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kOk);
}

TEST_F(Backup, ListsADamagedOneAndNeverAHalfWrittenOne) {
  Put(1);
  MustBackUp();
  MustBackUp();
  dir_.Write("backups/000002/MANIFEST", "larder backup 1\n");
  std::filesystem::create_directory(dir_.path("backups/000003.tmp"));
  std::filesystem::create_directory(dir_.path("backups/7"));
  const auto listed = *ListBackups(dir_.path("backups"));
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].problem, "");
  EXPECT_THAT(listed[1].problem, HasSubstr("backups/000002/MANIFEST"));
  // The newest is meant, not the newest that happens to be whole.
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MustBackUp().id, 3u);
  EXPECT_FALSE(dir_.Exists("backups/000003.tmp"));
}

TEST_F(Backup, RefusesPathsAndLinksThatLeadOut) {
  Put(1);
  MustBackUp();
  dir_.Write("canary", "secret");
  const std::string manifest = dir_.Read("backups/000001/MANIFEST");
  for (const char* bad : {"../../canary", "/etc/passwd", "store/../../../canary", "./FORMAT",
                          "store//CURRENT", "a b", "\\x", "store/", "..", "FORMAT\x01"}) {
    Forge(" FORMAT\n", absl::StrCat(" ", bad, "\n"));
    const absl::StatusCode code = RestoreCode(dir_, "backups");
    EXPECT_TRUE(code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kDataLoss) << bad;
    EXPECT_NE(ListBackups(dir_.path("backups"))->at(0).problem, "") << bad;
    dir_.Write("backups/000001/MANIFEST", manifest);
  }
  std::filesystem::rename(dir_.path("backups/000001/FORMAT"), dir_.path("FORMAT"));
  std::filesystem::create_symlink(dir_.path("FORMAT"), dir_.path("backups/000001/FORMAT"));
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(dir_.path("backups/000001/FORMAT"));
  std::filesystem::rename(dir_.path("FORMAT"), dir_.path("backups/000001/FORMAT"));
  std::filesystem::rename(dir_.path("backups/000001/store"), dir_.path("store"));
  std::filesystem::create_directory_symlink(dir_.path("store"), dir_.path("backups/000001/store"));
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(dir_.path("backups/000001/store"));
  std::filesystem::rename(dir_.path("store"), dir_.path("backups/000001/store"));
  std::filesystem::rename(dir_.path("backups/000001"), dir_.path("elsewhere"));
  std::filesystem::create_directory_symlink(dir_.path("elsewhere"), dir_.path("backups/000001"));
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RestoreCode(dir_, "nowhere"), absl::StatusCode::kNotFound);
}

TEST_F(Backup, RefusesALaterVersionAndAnotherDatabase) {
  Put(1);
  MustBackUp();
  auto other = *Store::Open(dir_.path("other"), {.create_if_missing = true});
  EXPECT_EQ(CreateBackup(*other, nullptr, dir_.path("backups")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(dir_.Exists("backups/000002.tmp"));
  Forge("larder backup 1", "larder backup 2");
  EXPECT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Backup, TakenUnderWritesIsAPrefix) {
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    for (int i = 1; !stop; ++i, ++written) Put(i);
  });
  for (int i = 0; i < 4; ++i) {
    const int before = written;
    const BackupInfo info = MustBackUp();
    EXPECT_GE(info.commit, static_cast<uint64_t>(before));
    ASSERT_EQ(RestoreCode(dir_, "backups"), absl::StatusCode::kOk);
    CheckRestored(info.commit);
  }
  stop = true;
  writer.join();
}

TEST(BackupPath, StaysBelow) {
  for (const char* good : {"FORMAT", "store/000012.sst", "a/b/c", "x.-_9", "...a"})
    EXPECT_TRUE(IsSafeBackupPath(good));
  for (const char* bad :
       {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "...", "a b", "a\nb", "\xc3"}) {
    EXPECT_FALSE(IsSafeBackupPath(bad)) << bad;
  }
  EXPECT_FALSE(IsSafeBackupPath(std::string(1025, 'a')));
  EXPECT_FALSE(IsSafeBackupPath(std::string("a\0", 2)));
}

}  // namespace
}  // namespace larder::storage
