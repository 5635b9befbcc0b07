#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace larder {
namespace {

constexpr absl::Duration kTerminalInterval = absl::Milliseconds(100);
constexpr absl::Duration kLogInterval = absl::Seconds(5);
constexpr absl::Duration kRateWindow = absl::Seconds(30);
constexpr absl::Duration kSampleInterval = absl::Milliseconds(500);
constexpr int kBarWidth = 20;

// A progress line that cannot be written is not worth failing the job for.
void WriteQuietly(int fd, const std::string& line) {
  size_t written = 0;
  while (written < line.size()) {
    ssize_t n = write(fd, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    written += static_cast<size_t>(n);
  }
}

std::string FormatAmount(uint64_t amount, ProgressUnit unit) {
  return unit == ProgressUnit::kBytes ? HumanBytes(static_cast<double>(amount)) : absl::StrCat(amount);
}

std::string FormatRate(double per_second, ProgressUnit unit) {
  if (unit == ProgressUnit::kBytes) return absl::StrCat(HumanBytes(per_second), "/s");
  return per_second < 10 ? absl::StrFormat("%.1f/s", per_second) : absl::StrFormat("%.0f/s", per_second);
}

std::string Bar(double fraction) {
  int full = static_cast<int>(fraction * kBarWidth);
  return absl::StrCat("[", std::string(full, '#'), std::string(kBarWidth - full, ' '), "] ");
}

}  // namespace

std::string HumanBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrFormat("%.0f B", bytes) : absl::StrFormat("%.1f %s", bytes, kUnits[unit]);
}

std::string HumanDuration(absl::Duration duration) {
  int64_t seconds = absl::ToInt64Seconds(std::max(duration, absl::ZeroDuration()) + absl::Milliseconds(500));
  if (seconds >= 3600) return absl::StrFormat("%d h %02d min", seconds / 3600, seconds / 60 % 60);
  if (seconds >= 60) return absl::StrFormat("%d min %02d s", seconds / 60, seconds % 60);
  return absl::StrCat(seconds, " s");
}

std::string ProgressLine(const ProgressState& state, bool with_bar) {
  std::string line = state.label.empty() ? "" : absl::StrCat(state.label, " ");
  if (state.total > 0) {
    double fraction = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
    absl::StrAppendFormat(&line, "%3.0f%% ", std::floor(fraction * 100));
    if (with_bar) absl::StrAppend(&line, Bar(fraction));
  }
  absl::StrAppend(&line, FormatAmount(state.done, state.unit));
  if (state.total > 0) absl::StrAppend(&line, "/", FormatAmount(state.total, state.unit));
  if (state.per_second > 0) absl::StrAppend(&line, ", ", FormatRate(state.per_second, state.unit));
  if (state.final) {
    absl::StrAppend(&line, ", ", HumanDuration(state.elapsed));
  } else if (state.per_second > 0 && state.total > state.done) {
    double left = static_cast<double>(state.total - state.done) / state.per_second;
    absl::StrAppend(&line, ", ", HumanDuration(absl::Seconds(left)), " left");
  }
  if (!state.note.empty()) absl::StrAppend(&line, ", ", state.note);
  return line;
}

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)),
      terminal_(isatty(options_.fd) == 1),
      done_(options_.already_done),
      total_(options_.total),
      start_(options_.clock()),
      printed_(start_) {
  samples_.push_back({start_, done_});
}

Progress::~Progress() { Finish(); }

void Progress::Advance(uint64_t amount) {
  absl::MutexLock lock(&mutex_);
  done_ += amount;
  MaybePrint(/*final=*/false);
}

void Progress::SetTotal(uint64_t total) {
  absl::MutexLock lock(&mutex_);
  total_ = total;
}

void Progress::SetNote(std::string note) {
  absl::MutexLock lock(&mutex_);
  note_ = std::move(note);
}

void Progress::Finish() {
  absl::MutexLock lock(&mutex_);
  if (finished_) return;
  MaybePrint(/*final=*/true);
  finished_ = true;
}

// Over the last half minute, so that the time left follows a job that changes pace.
double Progress::Rate(absl::Time now) {
  if (now - samples_.back().time >= kSampleInterval) samples_.push_back({now, done_});
  while (samples_.size() > 2 && now - samples_.front().time > kRateWindow) samples_.pop_front();
  double seconds = absl::ToDoubleSeconds(now - samples_.front().time);
  return seconds <= 0 ? 0 : static_cast<double>(done_ - samples_.front().done) / seconds;
}

void Progress::MaybePrint(bool final) {
  if (options_.quiet || finished_) return;
  absl::Time now = options_.clock();
  if (!final && now - printed_ < (terminal_ ? kTerminalInterval : kLogInterval)) return;
  printed_ = now;
  ProgressState state{.label = options_.label,
                      .unit = options_.unit,
                      .done = done_,
                      .total = total_,
                      .per_second = Rate(now),
                      .elapsed = now - start_,
                      .final = final,
                      .note = note_};
  if (final && state.elapsed > absl::ZeroDuration()) {
    state.per_second =
        static_cast<double>(done_ - options_.already_done) / absl::ToDoubleSeconds(state.elapsed);
  }
  std::string line = ProgressLine(state, terminal_);
  if (terminal_) line = absl::StrCat("\r", line, "\x1b[K");  // erases what a longer line left behind
  if (!terminal_ || final) line += '\n';
  WriteQuietly(options_.fd, line);
}

}  // namespace larder
