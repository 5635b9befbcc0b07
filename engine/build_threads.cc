#include "engine/build_threads.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

namespace larder {

BuildThreads::BuildThreads(uint32_t threads)
    : threads_(threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency())) {}

uint32_t BuildThreads::Join(uint64_t helpers) {
  uint32_t working = working_.load(std::memory_order_relaxed), lent = 0;
  do {
    const uint32_t spare = threads_ - std::min(threads_, working + 1);
    lent = static_cast<uint32_t>(std::min<uint64_t>(spare, helpers));
  } while (!working_.compare_exchange_weak(working, working + 1 + lent, std::memory_order_relaxed));
  return lent;
}

void BuildThreads::Run(uint64_t most, const std::function<void()>& work) {
  const uint32_t lent = Join(most > 0 ? most - 1 : 0);
  std::vector<std::thread> threads;
  try {
    threads.reserve(lent);
    for (uint32_t i = 0; i < lent; ++i) threads.emplace_back(std::cref(work));
  } catch (const std::exception&) {
    // Neither memory nor a thread is to be had: those that there are do the work.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  working_.fetch_sub(1 + lent, std::memory_order_relaxed);
}

}  // namespace larder
