// The threads that add vectors to indexes, bounded over all callers of a database.
#ifndef LARDER_ENGINE_BUILD_THREADS_H_
#define LARDER_ENGINE_BUILD_THREADS_H_

#include <atomic>
#include <cstdint>
#include <functional>

namespace larder {

// Thread-safe. Every caller works with his own thread; others help while fewer than `threads` work in all, callers
// counted.
class BuildThreads {
 public:
  explicit BuildThreads(uint32_t threads);  // 0 = as many as the machine runs at once
  // Runs `work`, which throws nothing, in this thread and at the same time in up to `most` - 1 others; returns when
  // all have ended. There may be none to help: `work` must take its share from what is left until nothing is.
  void Run(uint64_t most, const std::function<void()>& work);

 private:
  // Counts this caller and his helpers as working; returns how many these are.
  uint32_t Join(uint64_t helpers);

  const uint32_t threads_;
  std::atomic<uint32_t> working_{0};
};

}  // namespace larder

#endif  // LARDER_ENGINE_BUILD_THREADS_H_
