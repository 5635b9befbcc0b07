// For tests: a process that holds KV entries in shared memory until it is killed.
//   kv_local_reader SOCKET TENANT PROFILE TOKENS...      (TOKENS: ids with commas between them)
// Prints "held N" once it has leases on N of them, then waits.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "larder/local_kv.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto kv = larder::LocalKv::Connect({.path = argv[1], .tenant = argv[2]});
  if (!kv.ok()) {
    std::fprintf(stderr, "%s\n", kv.status().ToString().c_str());
    return 1;
  }
  std::vector<std::vector<int32_t>> chunks;
  for (int i = 4; i < argc; ++i) {
    std::vector<int32_t>& tokens = chunks.emplace_back();
    for (const absl::string_view text : absl::StrSplit(argv[i], ',')) {
      if (!absl::SimpleAtoi(text, &tokens.emplace_back())) return 2;
    }
  }
  const auto leases = (*kv)->Acquire(argv[3], chunks);
  int held = 0;
  for (const auto& lease : leases) held += lease.ok() ? 1 : 0;
  std::printf("held %d\n", held);
  std::fflush(stdout);
  for (;;) ::pause();
}
