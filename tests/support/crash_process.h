// The crash tests' child process.
#ifndef LARDER_TESTS_SUPPORT_CRASH_PROCESS_H_
#define LARDER_TESTS_SUPPORT_CRASH_PROCESS_H_

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

namespace larder::testing {

inline pid_t StartCrashWorker(const std::string& db, const std::string& log, uint64_t seed) {
  const std::string seed_text = std::to_string(seed);
  const pid_t child = fork();
  if (child == 0) {
    execl(LARDER_CRASH_WORKER, LARDER_CRASH_WORKER, db.c_str(), log.c_str(), seed_text.c_str(), nullptr);
    _exit(127);
  }
  return child;
}

inline void WaitForFirstLine(const std::string& log) {
  std::error_code error;
  for (int i = 0; i < 10'000; ++i) {
    if (std::filesystem::file_size(log, error) > 0 && !error) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_CRASH_PROCESS_H_
