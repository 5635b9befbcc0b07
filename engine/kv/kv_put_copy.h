// The payloads that a put appends, kept in memory until it commits: shared memory need not read them back.
#ifndef LARDER_ENGINE_KV_KV_PUT_COPY_H_
#define LARDER_ENGINE_KV_KV_PUT_COPY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace larder::kv {

// What open puts keep together. A put that finds no room keeps nothing, and is read back.
class PutCopyBudget {
 public:
  explicit PutCopyBudget(uint64_t bytes) : left_(static_cast<int64_t>(bytes)) {}
  bool Take(size_t bytes);
  void Return(size_t bytes) { left_ += static_cast<int64_t>(bytes); }

 private:
  std::atomic<int64_t> left_;
};

// Thread-safe.
class PutCopy {
 public:
  // Null: keeps nothing.
  PutCopy(PutCopyBudget* budget, size_t payloads);
  ~PutCopy() { Drop(); }
  PutCopy(const PutCopy&) = delete;
  PutCopy& operator=(const PutCopy&) = delete;

  void Keep(size_t index, absl::string_view payload);  // each once
  // All of them, or none if one was not kept.
  std::vector<std::string> Take();
  void Drop();

 private:
  void DropLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  PutCopyBudget* const budget_;
  absl::Mutex mu_;
  std::vector<std::string> payloads_ ABSL_GUARDED_BY(mu_);  // none once it was dropped
  size_t kept_ ABSL_GUARDED_BY(mu_) = 0, bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PUT_COPY_H_
