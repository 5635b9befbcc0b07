#include "tools/progress.h"

#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

TEST(ProgressLine, ShowsPercentBarRateAndTimeLeft) {
  ProgressState state{.label = "ingest",
                      .unit = ProgressUnit::kBytes,
                      .done = 42 << 20,
                      .total = 100 << 20,
                      .per_second = 8.4 * (1 << 20)};
  EXPECT_EQ(ProgressLine(state, true),
            "ingest  42% [########            ] 42.0 MiB/100.0 MiB, 8.4 MiB/s, 7 s left");
  EXPECT_EQ(ProgressLine(state, false), "ingest  42% 42.0 MiB/100.0 MiB, 8.4 MiB/s, 7 s left");
}

TEST(ProgressLine, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(ProgressLine({.label = "scan", .done = 12}, true), "scan 12");
  EXPECT_EQ(ProgressLine({.done = 3, .total = 7, .note = "x"}, false), " 42% 3/7, x");
}

TEST(ProgressLine, NeverPassesHundredPercent) {
  EXPECT_EQ(ProgressLine({.done = 9, .total = 7, .per_second = 1}, true),
            "100% [####################] 9/7, 1.0/s");
}

TEST(ProgressLine, RoundsPercentDownUntilDone) {
  EXPECT_EQ(ProgressLine({.done = 999, .total = 1000}, false), " 99% 999/1000");
}

TEST(HumanDuration, PicksTwoUnits) {
  EXPECT_EQ(HumanDuration(absl::Seconds(7)), "7 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(200)), "3 min 20 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(7500)), "2 h 05 min");
  EXPECT_EQ(HumanDuration(-absl::Seconds(3)), "0 s");
}

TEST(HumanBytes, ScalesByPowersOf1024) {
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(3.0 * (1ull << 40)), "3.0 TiB");
}

std::string Drain(int fd) {
  char buffer[4096];
  ssize_t n = read(fd, buffer, sizeof(buffer));
  return n <= 0 ? "" : std::string(buffer, static_cast<size_t>(n));
}

TEST(Progress, PrintsALineEveryFiveSecondsIntoAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  absl::Time now = absl::FromUnixSeconds(1000);
  {
    Progress progress(
        {.label = "job", .total = 100, .already_done = 40, .fd = ends[1], .clock = [&now] { return now; }});
    now += absl::Seconds(4);
    progress.Advance(10);  // too early
    now += absl::Seconds(1);
    progress.Advance(10);
    EXPECT_EQ(Drain(ends[0]), "job  60% 60/100, 4.0/s, 10 s left\n");
    now += absl::Seconds(5);
    progress.Advance(40);
    EXPECT_EQ(Drain(ends[0]), "job 100% 100/100, 6.0/s\n");
  }
  EXPECT_EQ(Drain(ends[0]), "job 100% 100/100, 6.0/s, 10 s\n");
  close(ends[0]);
  close(ends[1]);
}

TEST(Progress, QuietPrintsNothing) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  { Progress({.quiet = true, .fd = ends[1]}).Advance(1); }
  close(ends[1]);
  EXPECT_EQ(Drain(ends[0]), "");
  close(ends[0]);
}

}  // namespace
}  // namespace larder
