// How far a long job is: a bar with percent, rate and time left on a terminal, one line every five
// seconds where the output is a file or a pipe.
//
//   Progress progress({.label = "ingest", .unit = ProgressUnit::kBytes, .total = total_bytes});
//   progress.Advance(bytes);   // from any thread, as often as you like
//   progress.Finish();
#ifndef LARDER_TOOLS_PROGRESS_H_
#define LARDER_TOOLS_PROGRESS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace larder {

enum class ProgressUnit { kItems, kBytes };

struct ProgressOptions {
  std::string label = {};  // what is being done, in one word or two
  ProgressUnit unit = ProgressUnit::kItems;
  uint64_t total = 0;         // 0 = not known: no percent, no time left
  uint64_t already_done = 0;  // by an earlier run; counted in percent, not in the rate
  bool quiet = false;         // print nothing
  int fd = 2;                 // standard error
  std::function<absl::Time()> clock = &absl::Now;
};

// Thread-safe. Printing happens on the caller's thread, at most ten times a second.
class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress();  // leaves the terminal on a fresh line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Advance(uint64_t amount) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetTotal(uint64_t total) ABSL_LOCKS_EXCLUDED(mutex_);
  // Shown at the end of the line, e.g. "1,204 documents".
  void SetNote(std::string note) ABSL_LOCKS_EXCLUDED(mutex_);
  // Prints the final state. Later calls do nothing.
  void Finish() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Sample {
    absl::Time time;
    uint64_t done = 0;
  };

  void MaybePrint(bool final) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double Rate(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ProgressOptions options_;
  const bool terminal_;
  absl::Mutex mutex_;
  uint64_t done_ ABSL_GUARDED_BY(mutex_);
  uint64_t total_ ABSL_GUARDED_BY(mutex_);
  std::string note_ ABSL_GUARDED_BY(mutex_);
  std::deque<Sample> samples_ ABSL_GUARDED_BY(mutex_);  // of the last half minute
  const absl::Time start_;
  absl::Time printed_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

struct ProgressState {
  std::string label = {};
  ProgressUnit unit = ProgressUnit::kItems;
  uint64_t done = 0, total = 0;
  double per_second = 0;
  absl::Duration elapsed = absl::ZeroDuration();
  bool final = false;
  std::string note = {};
};
// One line without its end: "ingest  42% [####      ] 42.0 MiB/100.0 MiB, 8.4 MiB/s, 7 s left".
std::string ProgressLine(const ProgressState& state, bool with_bar);

std::string HumanBytes(double bytes);                // "1.5 GiB"
std::string HumanDuration(absl::Duration duration);  // "2 h 05 min", "3 min 20 s", "7 s"

}  // namespace larder

#endif  // LARDER_TOOLS_PROGRESS_H_
