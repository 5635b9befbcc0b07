// Random operations against a model, with kills, power cuts and full disks in between. What the
// store's records say must be readable, byte for byte, at all times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

using testing::IsEmpty;

// A record is a pointer and the version of the payload, which key and version determine.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {
    db_.environment.gc_hook = [this](ExtentGcStep) {
      return steps_left_ >= 0 && steps_left_-- == 0 ? absl::AbortedError("killed") : absl::OkStatus();
    };
    db_.options.allow_io_uring = seed % 4 == 0;
    db_.options.direct_io = seed % 6 < 2;  // slow: each read waits until the disk has it
    db_.options.queue_depth = 1 + seed % 9;
    db_.Open();
  }

  void Step() {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Put();
      case 5:
      case 6:
      case 7:
        return Delete();
      case 8:
        return AbandonAppend();
      case 9:
        return AbandonBatch();
      case 10:
      case 11:
        return Collect();
      case 12:
        db_.system.space = random_() % 3 == 0 ? static_cast<int64_t>(random_() % 60000) : INT64_MAX;
        return;
      case 13:
        return Kill(/*lose_power=*/false);
      case 14:
        return Kill(/*lose_power=*/true);
      default:
        return Check();
    }
  }

  void Check() {
    const std::map<std::string, std::string> records = Records();
    std::vector<ExtentPointer> pointers;
    for (const auto& [key, record] : records) pointers.push_back(Pointer(record));
    const auto payloads = db_.extents->Read(pointers);
    size_t i = 0;
    for (const auto& [key, record] : records) {
      ASSERT_TRUE(payloads[i].ok()) << key << ": " << payloads[i].status();
      ASSERT_EQ(*payloads[i], Payload(key, Version(record))) << key;
      ++i;
    }
    ASSERT_THAT(db_.Problems(), IsEmpty());
    ASSERT_EQ(db_.RowCount(), static_cast<int64_t>(records.size()));
  }

  // With nothing half done, garbage is bounded and the accounts are exact.
  void Settle() {
    db_.system.space = INT64_MAX;
    Kill(/*lose_power=*/false);
    uint64_t live = 0;
    for (const auto& [key, record] : Records()) live += PaddedExtentBytes(Pointer(record).length);
    EXPECT_EQ(db_.extents->Stats().live_bytes, live);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(CollectGarbage().ok());
    Check();
    const ExtentStats stats = db_.extents->Stats();
    EXPECT_EQ(stats.live_bytes, live);
    EXPECT_LE(stats.bytes, 2 * live + db_.options.file_bytes + stats.files * kExtentBlockBytes);
    EXPECT_EQ(db_.Files().size(), stats.files);
  }

  int acknowledged = 0, collected = 0, refused = 0;

 private:
  static std::string Payload(const std::string& key, uint64_t version) {
    std::mt19937_64 random(std::hash<std::string>()(key) ^ version * 0x9e3779b97f4a7c15);
    const size_t sizes[] = {0, 1, 4096, 5000, 12288, 30000, 100000};
    const size_t limit = sizes[random() % std::size(sizes)];
    std::string payload(limit - (limit > 100 ? random() % 100 : 0), '\0');
    for (size_t i = 0; i < payload.size(); i += 61) payload[i] = static_cast<char>(random());
    return payload;
  }
  static std::string Record(const ExtentPointer& pointer, uint64_t version) {
    std::string record;
    EncodePointer(pointer, &record);
    return absl::StrCat(record, version);
  }
  static ExtentPointer Pointer(const std::string& record) {
    return *DecodePointer(record.substr(0, kExtentPointerBytes));
  }
  static uint64_t Version(const std::string& record) {
    uint64_t version = 0;
    EXPECT_TRUE(absl::SimpleAtoi(record.substr(kExtentPointerBytes), &version));
    return version;
  }

  std::string RandomKey() { return absl::StrCat("key", random_() % 40); }
  std::map<std::string, std::string> Records() const {
    std::map<std::string, std::string> records;
    for (auto it = db_.store->NewIterator(Table::kKvEntries, "", nullptr); it->Valid(); it->Next()) {
      records[std::string(it->key())] = std::string(*it->value());
    }
    return records;
  }

  // Inserts or replaces.
  void Put() {
    const std::string key = RandomKey();
    const uint64_t version = ++versions_;
    const absl::StatusOr<ExtentPointer> pointer = db_.extents->Append(Payload(key, version));
    if (!pointer.ok()) {
      ASSERT_EQ(pointer.status().code(), absl::StatusCode::kResourceExhausted) << pointer.status();
      ++refused;
      return;
    }
    ASSERT_TRUE(db_.extents->Sync().ok());
    WriteBatch batch;
    const absl::StatusOr<std::string> old = db_.store->Get(Table::kKvEntries, key);
    if (old.ok()) {
      db_.extents->Release(Pointer(*old), &batch);
    } else {
      batch.Count(Counter::kKvEntries, +1);
    }
    batch.Put(Table::kKvEntries, key, Record(*pointer, version));
    db_.extents->Reference(*pointer, ExtentTestDatabase::Owner(key), &batch);
    ASSERT_TRUE(db_.store->Write(std::move(batch), random_() % 2 == 0).ok());
    ++acknowledged;
  }

  void Delete() {
    const std::string key = RandomKey();
    const absl::StatusOr<std::string> old = db_.store->Get(Table::kKvEntries, key);
    if (!old.ok()) return;
    WriteBatch batch;
    db_.extents->Release(Pointer(*old), &batch);
    batch.Delete(Table::kKvEntries, key);
    batch.Count(Counter::kKvEntries, -1);
    ASSERT_TRUE(db_.store->Write(std::move(batch), random_() % 4 == 0).ok());
  }

  void AbandonAppend() {
    const absl::StatusOr<ExtentPointer> pointer = db_.extents->Append(Payload("abandoned", ++versions_));
    if (random_() % 2 == 0) {
      ASSERT_TRUE(db_.extents->Sync().ok());
    }
    if (pointer.ok() && random_() % 2 == 0) db_.extents->Forget(*pointer);
  }

  void AbandonBatch() {
    const absl::StatusOr<std::string> record = db_.store->Get(Table::kKvEntries, RandomKey());
    WriteBatch never_written;
    if (record.ok()) db_.extents->Release(Pointer(*record), &never_written);
    const absl::StatusOr<ExtentPointer> pointer = db_.extents->Append("x");
    if (pointer.ok()) db_.extents->Reference(*pointer, ExtentTestDatabase::Owner("x"), &never_written);
  }

  absl::StatusOr<uint64_t> CollectGarbage() {
    return db_.extents->CollectGarbage([this](const ExtentOwner& owner, const ExtentPointer& from,
                                              const ExtentPointer& to,
                                              WriteBatch* batch) -> absl::StatusOr<bool> {
      const absl::StatusOr<std::string> record = db_.store->Get(owner.table, owner.key);
      if (!record.ok() || Pointer(*record) != from) return false;
      batch->Put(owner.table, owner.key, Record(to, Version(*record)));
      return true;
    });
  }

  void Collect() {
    steps_left_ = random_() % 2 == 0 ? static_cast<int>(random_() % 12) : -1;
    const absl::StatusOr<uint64_t> freed = CollectGarbage();
    steps_left_ = -1;
    if (freed.ok()) {
      collected += *freed > 0;
      return;
    }
    if (absl::IsResourceExhausted(freed.status())) return;
    ASSERT_EQ(freed.status().code(), absl::StatusCode::kAborted) << freed.status();
    Kill(random_() % 2 == 0);
  }

  void Kill(bool lose_power) {
    db_.Close();
    if (lose_power) {
      db_.memory->LosePower(random_() % (db_.memory->UnsyncedCommits() + 1));
      db_.system.LosePower(random_);
    }
    db_.Open();
    Check();
  }

  ExtentTestDatabase db_;
  std::mt19937_64 random_;
  uint64_t versions_ = 0;
  int steps_left_ = -1;  // of garbage collection, until it is killed; negative: it is not
};

TEST(ExtentModel, RandomOperationsKillsAndPowerCuts) {
  int acknowledged = 0, collected = 0, refused = 0;
  uint64_t seeds = 24;
  if (const char* more = ::getenv("LARDER_EXTENT_SEEDS")) {
    ASSERT_TRUE(absl::SimpleAtoi(more, &seeds));
  }
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Model model(seed);
    for (int step = 0; step < 250; ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      model.Step();
      if (testing::Test::HasFailure()) return;
    }
    model.Settle();
    if (testing::Test::HasFailure()) return;
    acknowledged += model.acknowledged;
    collected += model.collected;
    refused += model.refused;
  }
  EXPECT_GT(acknowledged, 1000);
  EXPECT_GT(collected, 100);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace larder::storage
