// Locks on named things, each set of them taken all at once.
#ifndef LARDER_ENGINE_KV_KV_LOCKS_H_
#define LARDER_ENGINE_KV_KV_LOCKS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace larder::kv {

// A set of keys is taken whole or waited for, never in part, so that two sets cannot deadlock. A
// thread that holds a set must not ask the same KeyLocks for another. Thread-safe.
class KeyLocks {
 public:
  // Lets its keys go when destroyed. Must not outlive its KeyLocks.
  class Held {
   public:
    Held() = default;
    Held(Held&& other) noexcept { *this = std::move(other); }
    Held& operator=(Held&& other) noexcept;
    ~Held() { Release(); }
    void Release();

   private:
    friend class KeyLocks;
    KeyLocks* locks_ = nullptr;
    std::vector<std::string> keys_;
    bool all_ = false;
  };

  KeyLocks() = default;
  KeyLocks(const KeyLocks&) = delete;
  KeyLocks& operator=(const KeyLocks&) = delete;

  [[nodiscard]] Held Acquire(std::vector<std::string> keys);
  // Every key there is: waits until none is held, while newcomers wait.
  [[nodiscard]] Held AcquireAll();

 private:
  absl::Mutex mu_;
  absl::flat_hash_set<std::string> held_ ABSL_GUARDED_BY(mu_);
  bool all_ ABSL_GUARDED_BY(mu_) = false;  // AcquireAll holds, or waits for the last keys to go
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_LOCKS_H_
