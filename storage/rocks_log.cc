#include "storage/rocks_log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "storage/posix_file.h"

namespace larder::storage {
namespace {

constexpr uint64_t kMaxLogBytes = 4 << 20;

class RocksLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  explicit RocksLog(std::string path)
      : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), path_(std::move(path)), file_(Append()) {}

  void LogHeader(const char*, va_list) override {}  // every option, at each open

  void Logv(const char* format, va_list arguments) override {
    char text[1024];
    const int length = ::vsnprintf(text, sizeof(text), format, arguments);
    if (length < 0) return;
    const size_t shown = std::min(static_cast<size_t>(length), sizeof(text) - 1);
    const std::string line = absl::StrCat(absl::FormatTime(absl::Now(), absl::UTCTimeZone()), " ",
                                          absl::string_view(text, shown), "\n");
    absl::MutexLock lock(&mutex_);
    if (bytes_ + line.size() > kMaxLogBytes) StartAnew();
    const ssize_t written = ::write(file_.get(), line.data(), line.size());
    if (written > 0) bytes_ += static_cast<uint64_t>(written);
  }

 private:
  Descriptor Append() const {
    return Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
  }
  void StartAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    FileSystem::Posix().Rename(path_, path_ + ".old").IgnoreError();
    file_ = Append();
    bytes_ = 0;
  }

  const std::string path_;
  absl::Mutex mutex_;
  Descriptor file_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = FileSize(path_).value_or(0);
};

class SilentLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

}  // namespace

std::shared_ptr<rocksdb::Logger> NewRocksLog(const std::string& path) {
  return std::make_shared<RocksLog>(path);
}

std::shared_ptr<rocksdb::Logger> NewSilentRocksLog() { return std::make_shared<SilentLog>(); }

}  // namespace larder::storage
