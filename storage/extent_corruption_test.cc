// Rotten bytes: whatever happens to an extent file, a read gives the right bytes or DataLoss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/crc32c.h"
#include "storage/extent_format.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ExtentCorruptionTest : public testing::Test {
 protected:
  ExtentCorruptionTest() {
    // For speed: rings take long to go, and direct reads of what was just written wait for the disk.
    db_.options.allow_io_uring = false;
    db_.options.direct_io = false;
    db_.Open();
    std::mt19937_64 random(21);
    for (const size_t size : {1, 100, 4095, 4096, 4097, 10000, 0, 30000, 90000}) {
      const std::string key = absl::StrCat("key", size);
      payloads_[key] = RandomBytes(random, size);
      EXPECT_TRUE(db_.Put(key, payloads_[key]).ok());
    }
    db_.Close();
    for (const std::string& name : db_.Files()) intact_[name] = db_.directory.Read("db/extents/" + name);
  }

  void Restore() {
    db_.Close();
    for (const auto& [name, contents] : intact_) db_.directory.Write("db/extents/" + name, contents);
  }
  // Those whose bytes [begin, end) lie in, by key.
  std::vector<std::string> KeysIn(uint32_t file, uint64_t begin, uint64_t end) {
    std::vector<std::string> keys;
    for (const auto& [key, payload] : payloads_) {
      const ExtentPointer pointer = *db_.PointerOf(key);
      if (pointer.file == file && pointer.offset < end && begin < pointer.offset + pointer.length)
        keys.push_back(key);
    }
    return keys;
  }

  ExtentTestDatabase db_;
  std::map<std::string, std::string> payloads_, intact_;
};

TEST_F(ExtentCorruptionTest, EveryFlippedBitIsSeenByWhomItConcerns) {
  const uint64_t seed = 20260101;
  std::mt19937_64 random(seed);
  int in_payload = 0;
  for (int round = 0; round < 300; ++round) {
    auto file = intact_.begin();
    std::advance(file, random() % intact_.size());
    const uint32_t number = *ParseExtentFileName(file->first);
    const uint64_t bit = random() % (file->second.size() * 8);
    std::string flipped = file->second;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    Restore();
    db_.directory.Write("db/extents/" + file->first, flipped);
    db_.Open();
    const std::vector<std::string> damaged = KeysIn(number, bit / 8, bit / 8 + 1);
    in_payload += static_cast<int>(damaged.size());
    for (const auto& [key, payload] : payloads_) {
      const absl::StatusOr<std::string> read = db_.Get(key);
      if (std::find(damaged.begin(), damaged.end(), key) == damaged.end()) {
        ASSERT_TRUE(read.ok()) << "seed " << seed << ", bit " << bit << " of " << file->first << ": "
                               << read.status();
        ASSERT_EQ(*read, payload);
      } else {
        ASSERT_EQ(read.status().code(), StatusCode::kDataLoss) << "seed " << seed << ", bit " << bit;
        ASSERT_THAT(std::string(read.status().message()), HasSubstr(DescribeExtent(*db_.PointerOf(key))));
      }
    }
    // Flips in headers and padding harm no one, but Verify sees them too.
    std::vector<std::string> problems;
    ASSERT_EQ(*db_.extents->Verify(&problems), payloads_.size());
    ASSERT_THAT(problems, SizeIs(1)) << "seed " << seed << ", bit " << bit << " of " << file->first;
    ASSERT_THAT(problems[0], HasSubstr(file->first));
    ASSERT_THAT(problems[0], HasSubstr("offset"));
  }
  EXPECT_GT(in_payload, 200);
}

TEST_F(ExtentCorruptionTest, TruncationConcernsOnlyWhatIsCutOff) {
  std::mt19937_64 random(31);
  for (const auto& [name, contents] : intact_) {
    const uint32_t number = *ParseExtentFileName(name);
    for (int round = 0; round < 40; ++round) {
      const uint64_t size = round == 0 ? 0 : round == 1 ? contents.size() - 1 : random() % contents.size();
      Restore();
      db_.directory.Write("db/extents/" + name, contents.substr(0, size));
      db_.Open();
      const std::vector<std::string> cut = KeysIn(number, size, UINT64_MAX);
      for (const auto& [key, payload] : payloads_) {
        const absl::StatusOr<std::string> read = db_.Get(key);
        const bool is_cut = std::find(cut.begin(), cut.end(), key) != cut.end();
        // An empty extent beyond the end has lost nothing, and may be refused nevertheless.
        if (payload.empty() && !read.ok()) continue;
        ASSERT_EQ(read.status().code(), is_cut ? StatusCode::kDataLoss : StatusCode::kOk)
            << name << " at " << size;
        if (!is_cut) {
          ASSERT_EQ(*read, payload);
        }
      }
      EXPECT_THAT(db_.Problems(), testing::Not(IsEmpty())) << name << " at " << size;
      EXPECT_EQ(std::filesystem::file_size(db_.FilePath(number)), size) << "nothing is made worse";
    }
  }
}

TEST_F(ExtentCorruptionTest, ATruncationWhileOpenIsDataLossToo) {
  db_.Open();
  const ExtentPointer pointer = *db_.PointerOf("key30000");
  std::filesystem::resize_file(db_.FilePath(pointer.file), pointer.offset + 20000);
  const absl::Status status = db_.Get("key30000").status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the file ends at byte"));
}

TEST_F(ExtentCorruptionTest, AMissingFileDoesNotStopTheOpenAndIsNamed) {
  std::filesystem::remove(db_.FilePath(1));
  db_.Open();
  const absl::Status status = db_.Get("key4096").status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("000001.ext"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("missing"));
  std::vector<std::string> problems;
  EXPECT_EQ(*db_.extents->Verify(&problems), payloads_.size());
  EXPECT_THAT(problems, testing::Contains("000001.ext: missing, but rows refer to it"));
  EXPECT_EQ(*db_.CollectGarbage(), 0u);
  // The owners drop what is lost; then the file is not missed any more.
  for (const std::string& key : KeysIn(1, 0, UINT64_MAX)) ASSERT_TRUE(db_.Delete(key).ok());
  db_.Reopen();
  EXPECT_THAT(db_.Problems(), IsEmpty());
}

TEST_F(ExtentCorruptionTest, AFileTakenAwayWhileOpenIsDataLossNotCollected) {
  db_.Open();
  std::filesystem::remove(db_.FilePath(1));
  EXPECT_EQ(db_.Get("key4096").status().code(), StatusCode::kDataLoss);
}

TEST_F(ExtentCorruptionTest, SwappedFilesAreNoticed) {
  std::filesystem::rename(db_.FilePath(1), db_.FilePath(9));
  std::filesystem::rename(db_.FilePath(2), db_.FilePath(1));
  std::filesystem::rename(db_.FilePath(9), db_.FilePath(2));
  db_.Open();
  for (const auto& [key, payload] : payloads_) {
    if (payload.empty()) continue;  // may be found wherever there is a block
    const bool moved = db_.PointerOf(key)->file <= 2;
    EXPECT_EQ(db_.Get(key).status().code(), moved ? StatusCode::kDataLoss : StatusCode::kOk) << key;
  }
  std::vector<std::string> problems;
  ASSERT_TRUE(db_.extents->Verify(&problems).ok());
  EXPECT_THAT(problems, testing::Contains("000001.ext: header says that it is 000002.ext"));
}

TEST_F(ExtentCorruptionTest, ASymbolicLinkIsNotFollowed) {
  std::filesystem::rename(db_.FilePath(1), db_.directory.path("elsewhere"));
  std::filesystem::create_symlink(db_.directory.path("elsewhere"), db_.FilePath(1));
  db_.Open();
  EXPECT_EQ(db_.Get("key4096").status().code(), StatusCode::kDataLoss);
}

TEST_F(ExtentCorruptionTest, ALaterVersionIsRefusedAndNothingChanged) {
  std::string later = intact_["000001.ext"];
  std::string header = EncodeExtentFileHeader(1);
  header[8] = 2;
  const uint32_t crc = Crc32c(header.substr(0, 60));
  for (int i = 0; i < 4; ++i) header[60 + i] = static_cast<char>(crc >> (8 * i));
  db_.directory.Write("db/extents/000001.ext", header + later.substr(4096));
  db_.directory.Write("db/extents/000777.ext", "an orphan");
  const auto before = db_.directory.Contents("db");
  EXPECT_EQ(db_.TryOpen().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(db_.directory.Contents("db"), before);
}

TEST_F(ExtentCorruptionTest, VerifyFindsOverlapsAndRowsPastTheEnd) {
  db_.Open();
  const ExtentPointer pointer = *db_.PointerOf("key10000");
  ExtentPointer inside = pointer;
  inside.offset += 4096;
  inside.length = 10;
  ExtentPointer past = pointer;
  past.offset = 1 << 30;
  WriteBatch batch;
  db_.extents->Reference(inside, ExtentTestDatabase::Owner("none"), &batch);
  db_.extents->Reference(past, ExtentTestDatabase::Owner("none"), &batch);
  ASSERT_TRUE(db_.store->Write(std::move(batch)).ok());
  std::vector<std::string> problems;
  ASSERT_TRUE(db_.extents->Verify(&problems).ok());
  const std::string all = absl::StrCat(problems[0], "\n", problems[1], "\n", problems.back());
  EXPECT_THAT(all, HasSubstr("overlaps the extent at offset"));
  EXPECT_THAT(all, HasSubstr("but the file ends at"));
}

}  // namespace
}  // namespace larder::storage
