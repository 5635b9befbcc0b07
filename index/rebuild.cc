#include "index/rebuild.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kBatch = 256;  // rows a thread takes at a time

// What the threads of one rebuild share.
class Work {
 public:
  Work(std::vector<Vid> vids, const CopyRows& copy, VectorIndex* target)
      : vids_(std::move(vids)), copy_(copy), target_(target) {}

  // One thread's share: batch after batch until none is left or any thread failed.
  void Run() {
    std::vector<Vid> batch;
    std::vector<float> vectors;
    while (!failed_.load(std::memory_order_relaxed)) {
      const size_t begin = next_.fetch_add(kBatch, std::memory_order_relaxed);
      if (begin >= vids_.size()) return;
      batch.assign(vids_.begin() + begin, vids_.begin() + std::min(begin + kBatch, vids_.size()));
      if (absl::Status added = CopyAndAdd(&batch, &vectors); !added.ok()) {
        failed_.store(true, std::memory_order_relaxed);
        absl::MutexLock lock(&mutex_);
        status_.Update(added);
      }
    }
  }
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  absl::Status CopyAndAdd(std::vector<Vid>* batch, std::vector<float>* vectors) {
    try {
      copy_(batch, vectors);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("rebuild: no memory to copy rows");
    }
    return target_->Add(*batch, *vectors);
  }

  const std::vector<Vid> vids_;
  const CopyRows& copy_;
  VectorIndex* const target_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorIndex>> BuildFrom(const VidSet& live, const CopyRows& copy,
                                                       const IndexOptions& options, int threads) {
  ASSIGN_OR_RETURN(std::unique_ptr<VectorIndex> index, CreateIndex(options));
  std::vector<Vid> vids;
  vids.reserve(live.size());
  live.ForEach([&vids](Vid vid) {
    vids.push_back(vid);
    return true;
  });
  Work work(std::move(vids), copy, index.get());
  std::vector<std::thread> others;
  try {
    for (int i = 1; i < threads; ++i) others.emplace_back([&work] { work.Run(); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those there are do the work.
  }
  work.Run();
  for (std::thread& other : others) other.join();
  RETURN_IF_ERROR(work.status());
  return index;
}

absl::Status CheckRebuild(const IndexOptions& from, const IndexOptions& to, int threads) {
  RETURN_IF_ERROR(to.Validate());
  if (from.dimension != to.dimension || from.metric != to.metric) {
    return absl::InvalidArgumentError(absl::StrCat("rebuild: expected dimension ", from.dimension,
                                                   " and metric ", static_cast<int>(from.metric), ", found ",
                                                   to.dimension, " and ", static_cast<int>(to.metric)));
  }
  if (threads < 1 || threads > 1024) {
    return absl::InvalidArgumentError(absl::StrCat("rebuild: expected 1 to 1024 threads, found ", threads));
  }
  return absl::OkStatus();
}

}  // namespace larder::index
