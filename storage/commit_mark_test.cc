#include "storage/commit_mark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/test_directory.h"
#include "storage/write_batch.h"

namespace larder::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

CommitMark ExampleMark() {
  CommitMark mark;
  mark.record.identity = "0123456789abcdef";
  mark.record.state.commit = 7;
  mark.record.state.digest = 0x1122334455667788;
  for (int i = 0; i < kCounterCount; ++i) mark.record.state.counters[i] = 10 + i;
  mark.manifest = {42, 1000};
  return mark;
}

// Golden bytes: a change here is a change of the format.
TEST(CommitMark, HasTheDocumentedBytes) {
  EXPECT_EQ(absl::BytesToHexString(EncodeMark(ExampleMark())),
            absl::BytesToHexString("larder commit mark\n") +
                "01"                                  // version
                "43"                                  // length of the commit record
                "01"                                  // its version
                "1030313233343536373839616263646566"  // identity
                "0700000000000000"                    // commit
                "8877665544332211"                    // digest
                "04"                                  // counters
                "0a00000000000000"
                "0b00000000000000"
                "0c00000000000000"
                "0d00000000000000"
                "2a00000000000000"  // manifest number
                "e803000000000000"  // and bytes
                "fd2ecc6e");        // crc32c
}

TEST(CommitMark, RoundTripsAndRefusesEveryDamage) {
  const std::string bytes = EncodeMark(ExampleMark());
  const auto mark = DecodeMark(bytes, "COMMITTED");
  ASSERT_TRUE(mark.ok()) << mark.status();
  EXPECT_EQ(mark->record.identity, "0123456789abcdef");
  EXPECT_TRUE(SameState(mark->record.state, ExampleMark().record.state));
  EXPECT_EQ(mark->manifest, ExampleMark().manifest);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeMark(bytes.substr(0, size), "COMMITTED").status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_EQ(DecodeMark(flipped, "COMMITTED").status().code(), absl::StatusCode::kDataLoss) << bit;
  }
  EXPECT_EQ(DecodeMark(bytes + "x", "COMMITTED").status().code(), absl::StatusCode::kDataLoss);
}

TEST(CommitMark, ComparesWithTheStore) {
  const CommitMark mark = ExampleMark();
  CommitRecord found = mark.record;
  EXPECT_TRUE(CheckRecord(mark, found).ok());
  found.state.commit = 8;
  found.state.digest = 1;
  EXPECT_TRUE(CheckRecord(mark, found).ok());
  found = mark.record;
  found.state.commit = 6;
  const absl::Status behind = CheckRecord(mark, found);
  EXPECT_EQ(behind.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(behind.message(), AllOf(HasSubstr("commit 6"), HasSubstr("commit 7")));
  found = mark.record;
  found.state.digest ^= 1;
  EXPECT_EQ(CheckRecord(mark, found).code(), absl::StatusCode::kDataLoss);
  found = mark.record;
  ++found.state.counters[3];
  EXPECT_EQ(CheckRecord(mark, found).code(), absl::StatusCode::kDataLoss);
  found = mark.record;
  found.state.commit = 100;
  found.identity[0] ^= 1;
  EXPECT_EQ(CheckRecord(mark, found).code(), absl::StatusCode::kDataLoss);
}

TEST(CommitMark, ComparesWithTheManifest) {
  const CommitMark mark = ExampleMark();
  for (const ManifestPosition good : {ManifestPosition{42, 1000}, {42, 1001}, {43, 0}}) {
    EXPECT_TRUE(CheckManifest(mark, good).ok()) << good.number << " " << good.bytes;
  }
  for (const ManifestPosition bad : {ManifestPosition{42, 999}, {41, 5000}}) {
    EXPECT_EQ(CheckManifest(mark, bad).code(), absl::StatusCode::kDataLoss) << bad.number << " " << bad.bytes;
  }
}

TEST(FindManifest, ReadsCurrent) {
  TestDirectory dir;
  std::filesystem::create_directory(dir.path("store"));
  EXPECT_EQ(FindManifest(dir.path("store")).status().code(), absl::StatusCode::kDataLoss);
  for (const char* bad : {"", "MANIFEST-000012", "MANIFEST-\n", "MANIFEST-x\n", "../MANIFEST-000012\n"}) {
    dir.Write("store/CURRENT", bad);
    EXPECT_EQ(FindManifest(dir.path("store")).status().code(), absl::StatusCode::kDataLoss) << bad;
  }
  dir.Write("store/CURRENT", "MANIFEST-000012\n");
  EXPECT_EQ(FindManifest(dir.path("store")).status().code(), absl::StatusCode::kDataLoss);
  dir.Write("store/MANIFEST-000012", "12345");
  EXPECT_EQ(*FindManifest(dir.path("store")), (ManifestPosition{12, 5}));
}

TEST(CommitRecord, DigestDependsOnEachBatchAndOnTheirOrder) {
  auto batch = [](absl::string_view key, absl::string_view value, int64_t count) {
    WriteBatch out;
    out.Put(Table::kDocuments, key, value);
    out.Count(Counter::kDocuments, count);
    return out;
  };
  const WriteBatch a = batch("a", "1", 1), b = batch("b", "1", 1);
  const CommitState ab = Advance(Advance({}, a), b), ba = Advance(Advance({}, b), a);
  EXPECT_EQ(ab.commit, 2u);
  EXPECT_EQ(ab.counters[0], 2);
  EXPECT_NE(ab.digest, ba.digest);
  EXPECT_EQ(ab.digest, Advance(Advance({}, batch("a", "1", 1)), batch("b", "1", 1)).digest);
  EXPECT_NE(Advance({}, a).digest, Advance({}, batch("a", "2", 1)).digest);
  EXPECT_NE(Advance({}, a).digest, Advance({}, batch("a", "1", 2)).digest);
  WriteBatch both = batch("a", "1", 1);
  both.Append(b);
  EXPECT_NE(Advance({}, both).digest, ab.digest);
  EXPECT_NE(Advance(Advance({}, WriteBatch()), WriteBatch()).digest, Advance({}, WriteBatch()).digest);
}

TEST(CommitRecord, RefusesEveryTruncation) {
  const std::string bytes = EncodeCommitRecord(ExampleMark().record);
  EXPECT_TRUE(DecodeCommitRecord(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeCommitRecord(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(Identity, IsNeverTheSame) {
  EXPECT_EQ(NewIdentity().size(), kIdentityBytes);
  EXPECT_NE(NewIdentity(), NewIdentity());
}

}  // namespace
}  // namespace larder::storage
