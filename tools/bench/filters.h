// larder-bench filters: searches under filters of every selectivity, beside the same search without one and
// beside the two classic designs: filtering what an unfiltered search found, and an exact scan of the matches.
#ifndef LARDER_TOOLS_BENCH_FILTERS_H_
#define LARDER_TOOLS_BENCH_FILTERS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace larder::tools {

struct FiltersOptions {
  std::string base, query;  // files; "" = clustered vectors are generated
  std::string metric = "cosine";
  uint64_t rows = 20'000;   // generated
  uint32_t dimension = 64;  // likewise
  uint64_t limit = 0;       // only the first rows of a file; 0 = all
  uint32_t queries = 200, k = 10, passes = 3, threads = 2;  // threads: of the build
  uint64_t seed = 42;       // of attributes, filters and generated vectors
  std::string only;         // cases whose name holds this
  std::string directory;    // of the database; "" = a temporary one, removed afterwards
  bool keep = false;        // search the database that is in the directory, if there is one
  bool json = false;
  std::string plot;         // a PNG to write; "" = none
};

// One thread searches through Collection with the default settings. Prints a line a filter and a summary.
absl::Status RunFilters(const FiltersOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_FILTERS_H_
