// Searches while vectors arrive: how much slower they are, and how soon what arrived is found.
#ifndef LARDER_TOOLS_BENCH_ARRIVALS_H_
#define LARDER_TOOLS_BENCH_ARRIVALS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace larder::tools {

struct ArrivalsOptions {
  std::string base, query;   // files; the base's last rows are those that arrive
  std::string metric = "cosine";
  uint64_t limit = 0;        // only the first rows; 0 = all
  uint32_t rate = 1'000;     // vectors a second
  uint32_t batch = 10;       // vectors an upsert
  uint32_t seconds = 5;      // of searching, idle and then while vectors arrive
  uint32_t k = 10, ef = 96;
  std::string directory;     // of the database; "" = a temporary one, removed afterwards
  bool json = false;
};

// One thread searches, another upserts durably at the rate, and searches for the last of each batch once the
// upsert has returned.
absl::Status RunArrivals(const ArrivalsOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_ARRIVALS_H_
