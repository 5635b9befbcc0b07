// larder-bench kv-local: KV entries in shared memory, read by another process. The process that is started
// serves; it starts itself once more as the reader.
#ifndef LARDER_TOOLS_BENCH_KV_LOCAL_H_
#define LARDER_TOOLS_BENCH_KV_LOCAL_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/kv.h"

namespace larder::tools {

struct KvLocalOptions {
  KvOptions store;
  std::string socket;  // not empty: be the reader of the server that listens there
  std::string profile_id, phase;
  uint32_t entries = 0;  // seeds 0 to entries - 1 are stored
};

// The reader's figures: of copies beside memcpy ("copy"), or of calls of 64 keys ("lookup").
absl::StatusOr<nlohmann::ordered_json> ReadLocal(const KvLocalOptions& options);

// The server with section "local" of RunKv, or the reader, which prints one line of JSON.
absl::Status RunKvLocal(const KvLocalOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_LOCAL_H_
