// For tests: a RocksDB environment whose writes and syncs fail when told to, and our FileSystem that
// does the same.
#ifndef LARDER_STORAGE_FAULT_ENV_H_
#define LARDER_STORAGE_FAULT_ENV_H_

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "storage/posix_file.h"

namespace larder::storage {

enum class FaultOp { kAppend, kSync };

// Decides, before each operation on a file RocksDB writes, whether it fails. Thread-safe.
class FaultPlan {
 public:
  // OK to let the operation pass.
  using Decide = std::function<rocksdb::IOStatus(FaultOp op, const std::string& file)>;
  void Set(Decide decide) {
    absl::MutexLock lock(&mutex_);
    decide_ = std::move(decide);
  }
  void Clear() { Set(nullptr); }
  rocksdb::IOStatus Ask(FaultOp op, const std::string& file) {
    absl::MutexLock lock(&mutex_);
    return decide_ == nullptr ? rocksdb::IOStatus::OK() : decide_(op, file);
  }

 private:
  absl::Mutex mutex_;
  Decide decide_ ABSL_GUARDED_BY(mutex_);
};

// A failing append writes half of its data, as a disk that fills up does.
class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using rocksdb::FSWritableFileOwnerWrapper::Append;
  FaultFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::string name, FaultPlan& plan)
      : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), plan_(plan) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus fault = plan_.Ask(FaultOp::kAppend, name_);
    if (fault.ok()) return FSWritableFileOwnerWrapper::Append(data, options, debug);
    const rocksdb::Slice half(data.data(), data.size() / 2);
    FSWritableFileOwnerWrapper::Append(half, options, debug).PermitUncheckedError();
    return fault;
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus fault = plan_.Ask(FaultOp::kSync, name_);
    return fault.ok() ? FSWritableFileOwnerWrapper::Sync(options, debug) : fault;
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus fault = plan_.Ask(FaultOp::kSync, name_);
    return fault.ok() ? FSWritableFileOwnerWrapper::Fsync(options, debug) : fault;
  }

 private:
  const std::string name_;
  FaultPlan& plan_;
};

class FaultRocksFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultRocksFiles(FaultPlan& plan)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), plan_(plan) {}
  const char* Name() const override { return "LarderFaults"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &file, debug);
    if (status.ok()) *result = std::make_unique<FaultFile>(std::move(file), name, plan_);
    return status;
  }

 private:
  FaultPlan& plan_;
};

inline std::unique_ptr<rocksdb::Env> NewFaultEnv(FaultPlan& plan) {
  return rocksdb::NewCompositeEnv(std::make_shared<FaultRocksFiles>(plan));
}

// Calls `before` with the number of each operation, from 1, and its path; an error is its result.
class FaultFiles final : public FileSystem {
 public:
  using Before = std::function<absl::Status(int number, const std::string& path)>;
  explicit FaultFiles(Before before) : before_(std::move(before)) {}
  absl::Status WriteNew(const std::string& path, absl::string_view contents) override {
    absl::Status status = Ask(path);
    return status.ok() ? FileSystem::WriteNew(path, contents) : status;
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    absl::Status status = Ask(to);
    return status.ok() ? FileSystem::Rename(from, to) : status;
  }
  absl::Status SyncDirectory(const std::string& path) override {
    absl::Status status = Ask(path);
    return status.ok() ? FileSystem::SyncDirectory(path) : status;
  }
  absl::StatusOr<DiskSpace> Space(const std::string& path) override {
    const uint64_t available = available_;
    return available == UINT64_MAX ? FileSystem::Space(path) : DiskSpace{available, uint64_t{1} << 40};
  }
  void SetAvailable(uint64_t bytes) { available_ = bytes; }

 private:
  absl::Status Ask(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    return before_(++number_, path);
  }
  const Before before_;
  std::atomic<uint64_t> available_ = UINT64_MAX;
  absl::Mutex mutex_;
  int number_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_FAULT_ENV_H_
