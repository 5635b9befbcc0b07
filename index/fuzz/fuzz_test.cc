// The fuzz targets with edits drawn at random, for some seconds each (LARDER_FUZZ_SECONDS): runs everywhere.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/fuzz/edits.h"
#include "index/fuzz/targets.h"

namespace larder::index {
namespace {

void DrawEdits(const std::function<void(absl::string_view)>& target) {
  const char* seconds = std::getenv("LARDER_FUZZ_SECONDS");
  const absl::Time end = absl::Now() + absl::Seconds(seconds == nullptr ? 10 : std::atoi(seconds));
  uint64_t inputs = 0;
  for (; absl::Now() < end; ++inputs) {
    SCOPED_TRACE(inputs);  // also the input's seed
    std::mt19937_64 random(inputs);
    std::string edits(1 + kEditBytes * (random() % 4), '\0');
    for (char& byte : edits) byte = static_cast<char>(random());
    target(edits);
  }
  std::printf("%llu inputs\n", static_cast<unsigned long long>(inputs));
  EXPECT_GT(inputs, 100u);
}

TEST(Fuzz, Snapshots) { DrawEdits(FuzzSnapshot); }
TEST(Fuzz, Codes) { DrawEdits(FuzzCode); }

}  // namespace
}  // namespace larder::index
