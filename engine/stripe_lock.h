// Locks the stripes of a set of keys, each once and in ascending order, so that two callers with
// overlapping sets cannot deadlock.
#ifndef LARDER_ENGINE_STRIPE_LOCK_H_
#define LARDER_ENGINE_STRIPE_LOCK_H_

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/synchronization/mutex.h"

namespace larder {

class StripeLock {
 public:
  template <size_t N>
  StripeLock(std::array<absl::Mutex, N>* stripes, const std::vector<std::string>& keys)
      ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::vector<size_t> numbers;
    for (const std::string& key : keys) numbers.push_back(absl::Hash<std::string>()(key) % N);
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (size_t number : numbers) {
      (*stripes)[number].Lock();
      held_.push_back(&(*stripes)[number]);
    }
  }
  ~StripeLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (absl::Mutex* mutex : held_) mutex->Unlock();
  }
  StripeLock(const StripeLock&) = delete;
  StripeLock& operator=(const StripeLock&) = delete;

 private:
  std::vector<absl::Mutex*> held_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_STRIPE_LOCK_H_
