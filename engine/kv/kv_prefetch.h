// Brings entries into shared memory before anyone asks for them: those of the chunks that a search found.
#ifndef LARDER_ENGINE_KV_KV_PREFETCH_H_
#define LARDER_ENGINE_KV_KV_PREFETCH_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"

namespace larder::kv {

inline constexpr size_t kMaxPrefetchChunks = 1'024;  // that wait; the oldest are forgotten beyond

// One thread, from the first request on. What it brings counts for nothing with the eviction policy until it is
// read. Thread-safe.
class KvPrefetcher {
 public:
  explicit KvPrefetcher(KvContext* context) : context_(*context) {}
  ~KvPrefetcher() { Stop(); }

  // FailedPrecondition without shared memory, NotFound for a profile that is not registered.
  absl::Status Check(const std::string& profile_id) const;
  // The entries of these chunks, best first, under the profile. Returns at once; what fails is left out.
  void Start(uint32_t collection, absl::Span<const uint64_t> vids, const std::string& profile_id);
  // Waits for the entry that is on its way, and brings no more. Idempotent.
  void Stop();

 private:
  struct Wish {
    ChunkRef chunk;
    std::string profile_id;
  };
  void Work();
  void Bring(const Wish& wish);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !wishes_.empty(); }
  bool stopping() const {
    absl::MutexLock lock(&mu_);
    return stopping_;
  }

  KvContext& context_;
  mutable absl::Mutex mu_;
  std::deque<Wish> wishes_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<std::thread> thread_ ABSL_GUARDED_BY(mu_);
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PREFETCH_H_
