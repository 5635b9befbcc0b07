// Damages every kind of file of a store, as rotting media or a careless operator would, and demands
// that each damage is refused, reported where it is read, or harmless: never a silent loss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/store.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

using ::testing::HasSubstr;

using Contents = std::map<std::pair<Table, std::string>, std::string>;
constexpr Table kUsed[] = {Table::kDocuments, Table::kChunks, Table::kVectors, Table::kFields};
constexpr uint32_t kSeed = 20240607;

// LARDER_DAMAGE_ROUNDS=20 for a release: that many times as many damages.
int Rounds(int times) {
  const char* const factor = std::getenv("LARDER_DAMAGE_ROUNDS");
  return times * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

struct Tally {
  int refused = 0, reported = 0, harmless = 0;
  int total() const { return refused + reported + harmless; }
};

class StoreDamage : public ::testing::Test {
 protected:
  // "closed": closed in order; "running": as a crash leaves it, the last commits only in the log.
  static void SetUpTestSuite() {
    dir_ = new TestDirectory;
    std::mt19937 random(kSeed);
    auto store = *Store::Open(dir_->path("db"), {.create_if_missing = true, .write_buffer_bytes = 4 << 20});
    for (int i = 1; i <= 150; ++i) {
      Commit(*store, i, random);
      if (i == 60 || i == 110) {
        ASSERT_TRUE(store->Compact().ok());
      }
    }
    ASSERT_TRUE(store->WriteMark().ok());
    marked_ = store->state();
    dir_->Copy("db", "running");
    ASSERT_TRUE(store->Close().ok());
    dir_->Copy("db", "closed");
  }
  static void TearDownTestSuite() {
    delete dir_;
    dir_ = nullptr;
    history_.clear();
  }

  static void Commit(Store& store, int i, std::mt19937& random) {
    Contents next = history_.empty() ? Contents() : history_.back();
    WriteBatch batch;
    for (const Table table : kUsed) {
      const std::string key = absl::StrCat("key", random() % 200);
      std::string value(random() % 1200, '\0');
      for (char& c : value) c = static_cast<char>(random());
      batch.Put(table, key, value);
      next[{table, key}] = value;
    }
    const std::string gone = absl::StrCat("key", random() % 200);
    batch.Delete(Table::kChunks, gone);
    next.erase({Table::kChunks, gone});
    batch.Count(Counter::kDocuments, i);
    ASSERT_TRUE(store.Write(std::move(batch)).ok());
    history_.push_back(std::move(next));
  }

  // Reads all of `store` both ways; false if something was refused. Anything else must be right.
  static bool ReadsClean(Store& store, const Contents& expected) {
    bool clean = true;
    Contents found;
    std::set<Table> broken;
    for (const Table table : kUsed) {
      auto it = store.NewIterator(table, "");
      for (; it->Valid(); it->Next()) {
        auto value = it->value();
        const std::pair<Table, std::string> key(table, std::string(it->key()));
        EXPECT_TRUE(expected.count(key)) << "never written: " << key.second;
        if (value.ok()) {
          found[key] = std::string(*value);
          EXPECT_EQ(found[key], expected.at(key));
        } else {
          EXPECT_EQ(value.status().code(), absl::StatusCode::kDataLoss) << value.status();
          broken.insert(table);
        }
      }
      if (!it->status().ok()) broken.insert(table);
    }
    for (const auto& [key, value] : expected) {
      auto got = store.Get(key.first, key.second);
      EXPECT_NE(got.status().code(), absl::StatusCode::kNotFound) << "silently lost: " << key.second;
      if (got.ok()) {
        EXPECT_EQ(*got, value) << key.second;
      }
      EXPECT_TRUE(found.count(key) || broken.count(key.first)) << "silently not iterated: " << key.second;
      clean = clean && got.ok();
    }
    return clean && broken.empty();
  }

  static void Try(Tally* tally) {
    auto store = Store::Open(dir_->path("try"), {});
    if (!store.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(store.status()) || absl::IsFailedPrecondition(store.status()) ||
                  absl::IsNotFound(store.status()))
          << store.status();
      ++tally->refused;
      return;
    }
    EXPECT_EQ((*store)->state().commit, marked_.commit);
    EXPECT_EQ((*store)->state().digest, marked_.digest);
    EXPECT_EQ((*store)->state().counters[0], marked_.counters[0]);
    if (ReadsClean(**store, history_.back())) {
      ++tally->harmless;
      return;
    }
    std::vector<std::string> problems;
    EXPECT_TRUE((*store)->Verify(nullptr, &problems).ok());
    EXPECT_FALSE(problems.empty());
    ++tally->reported;
  }

  static std::vector<std::string> FilesLike(absl::string_view image, absl::string_view part) {
    std::vector<std::string> names;
    for (const auto& [name, contents] : dir_->Contents(image)) {
      if (absl::StrContains(name, part) && !absl::StrContains(name, "LOG")) {
        names.push_back(name.substr(image.size() + 1));
      }
    }
    return names;
  }

  // Takes `image`, replaces one file by what `damage` makes of it, and tries.
  template <typename Damage>
  static void Damaged(const std::string& image, const std::string& file, Tally* tally, Damage damage) {
    SCOPED_TRACE(absl::StrCat(image, "/", file));
    dir_->Copy(image, "try");
    dir_->Write(absl::StrCat("try/", file), damage(dir_->Read(absl::StrCat("try/", file))));
    Try(tally);
  }

  static void TruncateEach(const std::string& image, const std::string& part, int times, Tally* tally) {
    std::mt19937 random(kSeed + 1);
    for (const std::string& file : FilesLike(image, part)) {
      const std::string whole = dir_->Read(absl::StrCat(image, "/", file));
      for (int i = 0; i < Rounds(times) && !whole.empty(); ++i) {
        const size_t size = i == 0 ? 0 : random() % whole.size();
        SCOPED_TRACE(absl::StrCat("cut to ", size, " of ", whole.size()));
        Damaged(image, file, tally, [&](std::string bytes) { return bytes.substr(0, size); });
      }
    }
  }

  static void FlipEach(const std::string& image, const std::string& part, int times, Tally* tally) {
    std::mt19937 random(kSeed + 2);
    for (const std::string& file : FilesLike(image, part)) {
      for (int i = 0; i < Rounds(times); ++i) {
        Damaged(image, file, tally, [&](std::string bytes) {
          if (bytes.empty()) return bytes;
          bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
          return bytes;
        });
      }
    }
  }

  static TestDirectory* dir_;
  static std::vector<Contents> history_;  // after each commit
  static CommitState marked_;
};

TestDirectory* StoreDamage::dir_ = nullptr;
std::vector<Contents> StoreDamage::history_;
CommitState StoreDamage::marked_;

TEST_F(StoreDamage, TheImagesAreWhole) {
  Tally tally;
  for (const char* image : {"running", "closed"}) {
    dir_->Copy(image, "try");
    Try(&tally);
  }
  EXPECT_EQ(tally.harmless, 2);
  EXPECT_GE(FilesLike("running", ".log").size(), 1u);
  EXPECT_GE(FilesLike("running", ".sst").size(), 4u);
}

TEST_F(StoreDamage, EveryCutLogIsRefused) {
  Tally tally;
  TruncateEach("running", ".log", 40, &tally);
  EXPECT_EQ(tally.refused, tally.total());
  EXPECT_GE(tally.total(), 40);
  Tally closed;
  TruncateEach("closed", ".log", 5, &closed);
  EXPECT_EQ(closed.harmless, closed.total());
}

TEST_F(StoreDamage, EveryCutManifestIsRefused) {
  Tally tally;
  TruncateEach("running", "MANIFEST", 30, &tally);
  TruncateEach("closed", "MANIFEST", 30, &tally);
  EXPECT_EQ(tally.refused, tally.total());
  EXPECT_EQ(tally.total(), Rounds(60));
}

TEST_F(StoreDamage, EveryCutTableIsRefusedOrReported) {
  Tally tally;
  TruncateEach("running", ".sst", 4, &tally);
  EXPECT_EQ(tally.harmless, 0);
  EXPECT_GE(tally.total(), 16);
}

TEST_F(StoreDamage, EveryMissingFileIsRefusedOrHarmless) {
  for (const char* image : {"running", "closed"}) {
    for (const std::string& file : FilesLike(image, "")) {
      SCOPED_TRACE(absl::StrCat(image, "/", file));
      dir_->Copy(image, "try");
      std::filesystem::remove(dir_->path(absl::StrCat("try/", file)));
      Tally one;
      Try(&one);
      const bool needed = absl::StrContains(file, ".sst") || absl::StrContains(file, "MANIFEST") ||
                          absl::StrContains(file, "CURRENT") || file == "COMMITTED" || file == "FORMAT" ||
                          (absl::StrContains(file, ".log") && std::string(image) == "running");
      EXPECT_EQ(one.refused, needed ? 1 : 0);
      EXPECT_EQ(one.reported, 0);
    }
  }
}

TEST_F(StoreDamage, EveryFlipIsRefusedReportedOrHarmless) {
  Tally log, manifest, table, mark, other;
  FlipEach("running", ".log", 60, &log);
  FlipEach("running", "MANIFEST", 60, &manifest);
  FlipEach("running", ".sst", 8, &table);
  FlipEach("running", "COMMITTED", 30, &mark);
  FlipEach("running", "CURRENT", 15, &other);
  FlipEach("running", "OPTIONS", 5, &other);
  FlipEach("running", "FORMAT", 15, &other);
  EXPECT_EQ(log.refused, log.total());
  EXPECT_EQ(mark.refused, mark.total());
  EXPECT_GE(log.total() + manifest.total() + table.total() + mark.total() + other.total(), 200);
  for (const auto& [name, tally] : std::map<std::string, Tally>{
           {"log", log}, {"manifest", manifest}, {"sst", table}, {"mark", mark}, {"other", other}}) {
    RecordProperty(name, absl::StrCat(tally.refused, " refused, ", tally.reported, " reported, ",
                                      tally.harmless, " harmless"));
    std::cout << name << ": " << tally.refused << " refused, " << tally.reported << " reported, "
              << tally.harmless << " harmless\n";
  }
}

TEST_F(StoreDamage, ARefusedStoreIsLeftAsItWas) {
  dir_->Copy("running", "try");
  const std::string log = FilesLike("try", ".log").back();
  const std::string bytes = dir_->Read(absl::StrCat("try/", log));
  dir_->Write(absl::StrCat("try/", log), bytes.substr(0, bytes.size() / 2));
  const auto before = dir_->Contents("try");
  for (int i = 0; i < 2; ++i) {
    const absl::Status refused = Store::Open(dir_->path("try"), {}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(refused.message(), HasSubstr("commit 150"));
    EXPECT_THAT(refused.message(),
                HasSubstr(absl::StrCat("larder repair --accept-data-loss ", dir_->path("try"))));
    EXPECT_EQ(dir_->Contents("try"), before);
  }
}

TEST_F(StoreDamage, AcceptedLossIsAPrefixAndOpensAfterwards) {
  std::mt19937 random(kSeed + 3);
  for (int i = 0; i < 10; ++i) {
    dir_->Copy("running", "try");
    const std::string log = absl::StrCat("try/", FilesLike("try", ".log").back());
    const std::string bytes = dir_->Read(log);
    dir_->Write(log, bytes.substr(0, random() % bytes.size()));
    {
      auto store = Store::Open(dir_->path("try"), {.accept_data_loss = true});
      ASSERT_TRUE(store.ok()) << store.status();
      EXPECT_EQ((*store)->state().commit, 151u);  // lost numbers are not given out again
      const int64_t counted = (*store)->state().counters[0];
      size_t prefix = 0;
      while (static_cast<int64_t>(prefix * (prefix + 1) / 2) < counted) ++prefix;
      ASSERT_GE(prefix, 1u);
      EXPECT_EQ(static_cast<int64_t>(prefix * (prefix + 1) / 2), counted);
      EXPECT_TRUE(ReadsClean(**store, history_[prefix - 1]));
      WriteBatch batch;
      batch.Put(Table::kCatalog, "after", "repair");
      EXPECT_EQ(*(*store)->Write(std::move(batch)), 152u);
    }
    auto store = Store::Open(dir_->path("try"), {});
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->state().commit, 152u);
  }
}

TEST_F(StoreDamage, AnOlderStoreUnderANewerMarkIsRefused) {
  dir_->Copy("closed", "old");
  dir_->Copy("closed", "try");
  {
    auto store = *Store::Open(dir_->path("try"), {});
    WriteBatch batch;
    batch.Put(Table::kCatalog, "newer", "1");
    ASSERT_TRUE(store->Write(std::move(batch)).ok());
  }
  dir_->Copy("old/store", "try/store");
  Tally tally;
  Try(&tally);
  EXPECT_EQ(tally.refused, 1);
}

}  // namespace
}  // namespace larder::storage
