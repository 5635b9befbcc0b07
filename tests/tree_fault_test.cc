// Full disks, failing commits and damage: nothing is lost, nothing false is served, and Verify names what is wrong.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "index/test_vectors.h"
#include "index/tree/tree_test_support.h"
#include "storage/extent_test_support.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 16;
constexpr size_t kBase = 800, kAll = 2400;

class TreeFaults : public testing::Test {
 protected:
  void SetUp() override {
    db_.options.file_bytes = 1 << 20;
    db_.Open();
    std::vector<float> base(rows_.row(0), rows_.row(0) + kBase * kDimension);
    const absl::Status built =
        BuildTree(db_.store.get(), db_.extents.get(), RowsInMemory(std::move(base), kDimension), SmallBuild(kDimension, Metric::kL2));
    ASSERT_TRUE(built.ok()) << built;
    ASSERT_TRUE(OpenTree().ok());
  }
  absl::Status OpenTree() {
    ASSIGN_OR_RETURN(tree_, TreeIndex::Open(db_.store.get(), db_.extents.get(), 1));
    return absl::OkStatus();
  }
  void TearDown() override { tree_.reset(); }
  absl::Status InsertRows(size_t first, size_t count) {
    std::vector<Vid> vids;
    for (size_t i = 0; i < count; ++i) vids.push_back(RowsInMemory::VidOf(first + i));
    return tree_->Insert(vids, {rows_.row(first), count * kDimension});
  }
  absl::Status MaintainAll() {
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, tree_->Maintain());
      if (!more) return absl::OkStatus();
    }
  }
  bool Finds(size_t row) {
    const auto reply = tree_->Search({rows_.row(row), kDimension}, {.postings = 40, .candidates = 80});
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() && !reply->neighbors.empty() && reply->neighbors[0].vid == RowsInMemory::VidOf(row);
  }
  // Rows [first, end) are there, and the tree is sound, now and when it is opened anew.
  void ExpectSound(size_t first, size_t end) {
    for (const bool reopened : {false, true}) {
      if (reopened) {
        ASSERT_TRUE(OpenTree().ok());
      }
      std::vector<std::string> problems;
      const auto sound = tree_->Verify(&problems);
      ASSERT_TRUE(sound.ok()) << sound.status();
      EXPECT_EQ(problems, std::vector<std::string>{});
      EXPECT_EQ(*sound, end - first);
      for (size_t row = first; row < end; row += 13) EXPECT_TRUE(Finds(row)) << row;
      for (size_t row = 0; row < first; row += 13) EXPECT_FALSE(Finds(row)) << row;
    }
  }
  std::vector<std::string> ProblemsOfTree() {
    std::vector<std::string> problems;
    EXPECT_TRUE(tree_->Verify(&problems).ok());
    return problems;
  }

  const RowsInMemory rows_{ClusteredVectors(kAll, kDimension, 4), kDimension};
  storage::ExtentTestDatabase db_;
  std::unique_ptr<TreeIndex> tree_;
};

// Each piece of work meets the end of the disk after more and more bytes, until it comes through.
TEST_F(TreeFaults, AFullDiskInTheMiddleOfAnyWorkLosesNothing) {
  size_t inserted = kBase, removed = 0;
  int refused = 0;
  for (; inserted < kAll; inserted += 400) {
    ASSERT_TRUE(InsertRows(inserted, 400).ok());
    std::vector<Vid> gone;
    for (size_t i = 0; i < 150; ++i) gone.push_back(RowsInMemory::VidOf(removed + i));
    ASSERT_TRUE(tree_->Remove(gone).ok());
    removed += 150;
    for (bool more = true; more;) {
      for (int64_t space = 0;; space += 4096 + space / 2) {
        db_.system.space = space;
        const absl::StatusOr<bool> did = tree_->Maintain();
        db_.system.space = INT64_MAX;
        if (did.ok()) {
          more = *did;
          break;
        }
        EXPECT_TRUE(absl::IsResourceExhausted(did.status())) << did.status();
        ++refused;
      }
    }
    ExpectSound(removed, inserted + 400);
    // What was appended in vain has been given back: the rows know of as much as is held to live.
    const uint64_t live = db_.extents->Stats().live_bytes;
    tree_.reset();
    db_.Reopen();
    EXPECT_EQ(db_.extents->Stats().live_bytes, live);
    ASSERT_TRUE(OpenTree().ok());
  }
  EXPECT_GT(refused, 50);
  EXPECT_EQ(db_.Problems(), std::vector<std::string>{});
}

TEST_F(TreeFaults, ACommitThatFailsChangesNothing) {
  const absl::Status full = absl::ResourceExhaustedError("the disk is full");
  ASSERT_TRUE(InsertRows(kBase, 1000).ok());
  db_.memory->FailNextWrite(full);
  EXPECT_EQ(tree_->Remove({RowsInMemory::VidOf(0)}), full);
  EXPECT_TRUE(Finds(0));
  int refused = 0;
  for (bool more = true; more;) {
    db_.memory->FailNextWrite(full);
    const absl::StatusOr<bool> did = tree_->Maintain();
    db_.memory->FailNextWrite(absl::OkStatus());
    if (!did.ok()) {
      EXPECT_EQ(did.status(), full);
      ++refused;
    } else if (!*did) {
      break;
    }
    const absl::StatusOr<bool> again = tree_->Maintain();
    ASSERT_TRUE(again.ok()) << again.status();
    more = *again;
  }
  EXPECT_GT(refused, 5);
  ExpectSound(0, kBase + 1000);
}

TEST_F(TreeFaults, AnInsertThatFailsIsNotThereAndThoseAfterItAre) {
  for (size_t row = kBase; row < kBase + 300; row += 100) {
    db_.memory->FailNextWrite(absl::ResourceExhaustedError("the disk is full"));
    EXPECT_TRUE(absl::IsResourceExhausted(InsertRows(row, 100)));
    EXPECT_FALSE(Finds(row));
    ASSERT_TRUE(InsertRows(row, 100).ok());
    ASSERT_TRUE(MaintainAll().ok());
  }
  ExpectSound(0, kBase + 300);
}

TEST_F(TreeFaults, DamagedRowsAreRefused) {
  ASSERT_TRUE(InsertRows(kBase, 700).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(tree_->Maintain().ok());
  ASSERT_TRUE(tree_->Remove({RowsInMemory::VidOf(3)}).ok());
  std::set<char> tags;
  std::vector<std::string> keys;
  {
    const auto it = db_.store->NewIterator(storage::Table::kTree, "");
    for (size_t i = 0; it->Valid(); it->Next(), ++i) {
      const char tag = it->key()[8];
      if (tags.insert(tag).second || i % 23 == 0) keys.emplace_back(it->key());
    }
  }
  EXPECT_EQ(tags, (std::set<char>{'a', 'd', 'g', 'i', 'j', 'm', 'n', 'p', 'v', 'x'}));
  for (const std::string& key : keys) {
    db_.memory->Damage(storage::Table::kTree, key);
    const absl::StatusOr<std::unique_ptr<TreeIndex>> opened = TreeIndex::Open(db_.store.get(), db_.extents.get(), 1);
    EXPECT_TRUE(absl::IsDataLoss(opened.status())) << key[8] << ": " << opened.status();
    EXPECT_EQ(ProblemsOfTree().size(), 1u) << key[8];
    db_.memory->Damage(storage::Table::kTree, key);
  }
  EXPECT_EQ(ProblemsOfTree(), std::vector<std::string>{});
}

TEST_F(TreeFaults, VerifyFindsWhatIsMissingOrDamaged) {
  ASSERT_TRUE(MaintainAll().ok());
  EXPECT_EQ(ProblemsOfTree(), std::vector<std::string>{});
  const TreeKeys keys(1);
  const auto without = [&](char tag) {
    std::string key, value;
    {
      const auto it = db_.store->NewIterator(storage::Table::kTree, keys.Prefix(tag));
      key = std::string(it->key()), value = std::string(*it->value());
    }
    storage::WriteBatch batch;
    batch.Delete(storage::Table::kTree, key);
    EXPECT_TRUE(db_.store->Write(std::move(batch), true).ok());
    const std::vector<std::string> problems = ProblemsOfTree();
    storage::WriteBatch back;
    back.Put(storage::Table::kTree, key, value);
    EXPECT_TRUE(db_.store->Write(std::move(back), true).ok());
    return problems;
  };
  EXPECT_GT(without('g').size(), 30u) << "entries without rows";
  EXPECT_FALSE(without('n').empty());
  // An inserted row whose entries go.
  ASSERT_TRUE(InsertRows(kBase, 1).ok());
  std::vector<std::string> deltas;
  {
    const auto it = db_.store->NewIterator(storage::Table::kTree, keys.Prefix('d'));
    for (; it->Valid(); it->Next()) deltas.emplace_back(it->key());
  }
  storage::WriteBatch batch;
  for (const std::string& key : deltas) batch.Delete(storage::Table::kTree, key);
  ASSERT_TRUE(db_.store->Write(std::move(batch), true).ok());
  const std::vector<std::string> problems = ProblemsOfTree();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("has no entry"), std::string::npos) << problems[0];
}

TEST_F(TreeFaults, CutFilesAreNamedAndNeverServed) {
  for (const std::string& name : db_.Files()) {
    const std::string path = db_.extent_path() + "/" + name;
    if (std::filesystem::file_size(path) < 64 << 10) continue;
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2 / 4096 * 4096);
  }
  EXPECT_GT(ProblemsOfTree().size(), 5u);
  size_t refused = 0;
  for (size_t row = 0; row < kBase; row += 50) {
    const auto reply = tree_->Search({rows_.row(row), kDimension}, {.postings = 40, .candidates = 80});
    refused += absl::IsDataLoss(reply.status());
    if (reply.ok()) {
      EXPECT_EQ(reply->neighbors[0].vid, RowsInMemory::VidOf(row));
    }
  }
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace larder::index
