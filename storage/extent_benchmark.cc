// Random 12 KiB reads, 64 at a time, and 4 MiB reads one after another: through io_uring, through
// the threads, and plainly by pread. Not a test; run it on an idle machine:
//   TMPDIR=<a directory on the disk to measure> build/storage/extent_benchmark
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "storage/crc32c.h"
#include "storage/extent_test_support.h"

namespace larder::storage {
namespace {

constexpr size_t kSmall = 12 << 10, kLarge = 4 << 20;
constexpr size_t kSmallCount = 16384, kLargeCount = 48;  // 192 MiB each
constexpr size_t kBatch = 64;

enum Way { kUring, kPreads, kSerial };

// One set of files for all runs; each run opens it its own way.
class Data {
 public:
  static Data& Get() {
    static Data data;
    return data;
  }
  const std::vector<ExtentPointer>& pointers(size_t size) const { return size == kSmall ? small_ : large_; }
  std::unique_ptr<ExtentStore> Open(Way way) {
    ExtentStoreOptions options;
    options.allow_io_uring = way == kUring;
    return *ExtentStore::Open(db_.extent_path(), db_.store.get(), options);
  }
  std::string path(uint32_t file) const { return db_.FilePath(file); }

 private:
  Data() {
    db_.options = {};
    db_.environment.system = &ExtentSystem::Posix();
    db_.Open();
    std::mt19937_64 random(1);
    const std::string bytes = RandomBytes(random, kLarge + kSmallCount);
    WriteBatch batch;
    for (size_t i = 0; i < kSmallCount; ++i) small_.push_back(Add(bytes.substr(i, kSmall), &batch));
    for (size_t i = 0; i < kLargeCount; ++i) large_.push_back(Add(bytes.substr(i, kLarge), &batch));
    if (!db_.extents->Sync().ok() || !db_.store->Write(std::move(batch)).ok()) abort();
    db_.extents.reset();
  }
  ExtentPointer Add(const std::string& payload, WriteBatch* batch) {
    const ExtentPointer pointer = *db_.extents->Append(payload);
    db_.extents->Reference(pointer, ExtentTestDatabase::Owner("x"), batch);
    return pointer;
  }

  ExtentTestDatabase db_;
  std::vector<ExtentPointer> small_, large_;
};

void ReadThroughStore(benchmark::State& state, Way way, size_t size, size_t batch) {
  const std::vector<ExtentPointer>& all = Data::Get().pointers(size);
  const std::unique_ptr<ExtentStore> extents = Data::Get().Open(way);
  std::mt19937_64 random(7);
  size_t next = 0;
  for (auto _ : state) {
    std::vector<ExtentPointer> wanted;
    for (size_t i = 0; i < batch; ++i)
      wanted.push_back(size == kSmall ? all[random() % all.size()] : all[next++ % all.size()]);
    for (const auto& payload : extents->Read(wanted)) {
      if (!payload.ok()) state.SkipWithError(payload.status().ToString().c_str());
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * batch * size));
  if (way == kUring && !extents->Stats().io_uring) state.SkipWithError("no io_uring here");
}

void ReadSerially(benchmark::State& state, size_t size, size_t batch) {
  const std::vector<ExtentPointer>& all = Data::Get().pointers(size);
  ExtentFds fds(ExtentSystem::Posix(), Data::Get().path(1).substr(0, Data::Get().path(1).rfind('/')), true,
                8);
  const auto buffers = *ReadBuffers::Make(1, kLarge);
  std::mt19937_64 random(7);
  size_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < batch; ++i) {
      const ExtentPointer& pointer = size == kSmall ? all[random() % all.size()] : all[next++ % all.size()];
      const auto handle = *fds.Get(pointer.file);
      const ssize_t got =
          ::pread(handle->fd.get(), buffers->slot(0), pointer.length, static_cast<off_t>(pointer.offset));
      const std::string payload(buffers->slot(0), pointer.length);
      if (got != static_cast<ssize_t>(size) || Crc32c(payload) != pointer.crc32c)
        state.SkipWithError("bad read");
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * batch * size));
}

BENCHMARK_CAPTURE(ReadThroughStore, random_12KiB_x64_io_uring, kUring, kSmall, kBatch)->UseRealTime();
BENCHMARK_CAPTURE(ReadThroughStore, random_12KiB_x64_threads, kPreads, kSmall, kBatch)->UseRealTime();
BENCHMARK_CAPTURE(ReadSerially, random_12KiB_x64, kSmall, kBatch)->UseRealTime();
BENCHMARK_CAPTURE(ReadThroughStore, large_4MiB_io_uring, kUring, kLarge, 1)->UseRealTime();
BENCHMARK_CAPTURE(ReadThroughStore, large_4MiB_threads, kPreads, kLarge, 1)->UseRealTime();
BENCHMARK_CAPTURE(ReadSerially, large_4MiB, kLarge, 1)->UseRealTime();

}  // namespace
}  // namespace larder::storage

BENCHMARK_MAIN();
