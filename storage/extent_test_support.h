// For tests: a store with extents in a directory of its own, and owners whose record is a pointer.
#ifndef LARDER_STORAGE_EXTENT_TEST_SUPPORT_H_
#define LARDER_STORAGE_EXTENT_TEST_SUPPORT_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/extent_format.h"
#include "storage/extent_store_impl.h"
#include "storage/memory_store.h"
#include "storage/status_macros.h"
#include "storage/test_directory.h"

namespace larder::storage {

inline std::string RandomBytes(std::mt19937_64& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// System calls that fail on demand, and a disk that forgets what was not synced. Thread-safe.
class FaultySystem : public ExtentSystem {
 public:
  int Open(const std::string& path, int flags) override;
  ssize_t WriteVector(int fd, const iovec* parts, int count, uint64_t offset) override;
  int SyncData(int fd) override;
  int SyncDirectory(const std::string& path) override;

  // As the power goes: of what was written since its file was last synced, each write stays, is
  // zeroed or is cut off; files whose name was not synced may go.
  void LosePower(std::mt19937_64& random);

  std::atomic<bool> refuse_direct = false;
  std::atomic<bool> pretend_to_sync = false;  // for speed: nothing here cuts the power to the real disk
  // Bytes that the disk still takes; a write that meets the end is short, the next one fails.
  std::atomic<int64_t> space = INT64_MAX;
  std::atomic<int> write_error = 28;  // ENOSPC
  std::atomic<int> failing_syncs = 0, failing_directory_syncs = 0;
  std::function<void()> after_write;  // called once, after the next write
  std::atomic<int> syncs = 0, directory_syncs = 0;

 private:
  struct Range {
    uint64_t offset, bytes;
  };
  absl::Mutex mutex_;
  std::map<int, std::string> path_of_ ABSL_GUARDED_BY(mutex_);                  // by descriptor
  std::map<std::string, std::vector<Range>> unsynced_ ABSL_GUARDED_BY(mutex_);  // by path
  std::set<std::string> new_names_ ABSL_GUARDED_BY(mutex_);
};

class ExtentTestDatabase {
 public:
  ExtentTestDatabase() {
    options.file_bytes = 64 << 10;
    system.pretend_to_sync = true;
    environment.system = &system;
  }

  // With what is set in `options`, `environment` and `rocksdb`. A store in memory survives Close.
  absl::Status TryOpen() {
    if (rocksdb) {
      ASSIGN_OR_RETURN(store, Store::Open(directory.path("db"), {.create_if_missing = true}));
    } else if (store == nullptr) {
      auto in_memory = std::make_unique<MemoryStore>();
      memory = in_memory.get();
      store = std::move(in_memory);
    }
    ASSIGN_OR_RETURN(extents, OpenExtentStore(extent_path(), store.get(), options, environment));
    return absl::OkStatus();
  }
  void Open() { ASSERT_TRUE(TryOpen().ok()); }
  void Close() {
    extents.reset();
    if (rocksdb) store.reset();
  }
  void Reopen() {
    Close();
    Open();
  }
  std::string extent_path() const { return directory.path("db/extents"); }
  std::string FilePath(uint32_t file) const { return extent_path() + "/" + ExtentFileName(file); }

  static ExtentOwner Owner(const std::string& key) { return {Table::kKvEntries, key}; }

  absl::StatusOr<ExtentPointer> Put(const std::string& key, absl::string_view payload, bool sync = false) {
    ASSIGN_OR_RETURN(const ExtentPointer pointer, extents->Append(payload));
    RETURN_IF_ERROR(extents->Sync());
    WriteBatch batch;
    PutOwner(key, pointer, &batch);
    batch.Count(Counter::kKvEntries, +1);
    extents->Reference(pointer, Owner(key), &batch);
    RETURN_IF_ERROR(store->Write(std::move(batch), sync).status());
    return pointer;
  }
  absl::Status Delete(const std::string& key) {
    ASSIGN_OR_RETURN(const ExtentPointer pointer, PointerOf(key));
    WriteBatch batch;
    batch.Delete(Table::kKvEntries, key);
    batch.Count(Counter::kKvEntries, -1);
    extents->Release(pointer, &batch);
    return store->Write(std::move(batch), false).status();
  }
  absl::StatusOr<ExtentPointer> PointerOf(const std::string& key) const {
    ASSIGN_OR_RETURN(const std::string record, store->Get(Table::kKvEntries, key));
    return DecodePointer(record);
  }
  absl::StatusOr<std::string> ReadOne(const ExtentPointer& pointer) const {
    return std::move(extents->Read({&pointer, 1})[0]);
  }
  // Reads again when the extent was moved away between the look and the read.
  absl::StatusOr<std::string> Get(const std::string& key) const {
    for (int attempt = 0; attempt < 100; ++attempt) {
      ASSIGN_OR_RETURN(const ExtentPointer pointer, PointerOf(key));
      absl::StatusOr<std::string> payload = ReadOne(pointer);
      if (!absl::IsNotFound(payload.status())) return payload;
    }
    return absl::InternalError("the owner's record points into a collected file");
  }

  ExtentStore::Relocate Relocator() {
    return [this](const ExtentOwner& owner, const ExtentPointer& from, const ExtentPointer& to,
                  WriteBatch* batch) -> absl::StatusOr<bool> {
      const absl::StatusOr<ExtentPointer> held = PointerOf(owner.key);
      if (absl::IsNotFound(held.status())) return false;
      RETURN_IF_ERROR(held.status());
      if (*held != from) return false;
      PutOwner(owner.key, to, batch);
      return true;
    };
  }
  absl::StatusOr<uint64_t> CollectGarbage() { return extents->CollectGarbage(Relocator()); }

  // Of the extent store and of the store; empty if all is well.
  std::vector<std::string> Problems() const {
    std::vector<std::string> problems;
    EXPECT_TRUE(extents->Verify(&problems).ok());
    EXPECT_TRUE(store->Verify(nullptr, &problems).ok());
    return problems;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(extent_path()))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  int64_t RowCount() const { return store->state().counters[static_cast<int>(Counter::kExtents)]; }

  static void PutOwner(const std::string& key, const ExtentPointer& pointer, WriteBatch* batch) {
    std::string record;
    EncodePointer(pointer, &record);
    batch->Put(Table::kKvEntries, key, record);
  }

  TestDirectory directory;
  FaultySystem system;  // unless `environment` names another
  ExtentStoreOptions options;
  ExtentEnvironment environment;
  bool rocksdb = false;
  MemoryStore* memory = nullptr;  // the store, unless `rocksdb`
  std::unique_ptr<Store> store;
  std::unique_ptr<ExtentStore> extents;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_TEST_SUPPORT_H_
