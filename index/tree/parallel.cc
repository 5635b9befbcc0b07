#include "index/tree/parallel.h"

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace larder::index {
namespace {

absl::Status Guarded(const std::function<absl::Status(size_t)>& work, size_t i) {
  try {
    return work(i);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("tree: out of memory");
  }
}

}  // namespace

absl::Status ParallelFor(size_t count, int threads, const std::function<absl::Status(size_t)>& work) {
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  absl::Status first;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      const absl::Status status = Guarded(work, i);
      if (status.ok()) continue;
      absl::MutexLock lock(&mutex);
      first.Update(status);
      next = count;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int i = 1; i < threads; ++i) others.emplace_back(run);
  } catch (const std::system_error&) {
  }
  run();
  for (std::thread& other : others) other.join();
  return first;
}

}  // namespace larder::index
