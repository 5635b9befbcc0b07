// Request traces, as sequences of objects with sizes.
#ifndef LARDER_TOOLS_BENCH_KV_TRACE_FILE_H_
#define LARDER_TOOLS_BENCH_KV_TRACE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace larder::tools {

// What one request to the KV store names: an object, as an index into `tokens`.
struct KvTrace {
  std::vector<uint32_t> requests;
  std::vector<uint32_t> tokens;  // of each object, in order of first appearance
  std::string sizes;             // where the token counts come from, in words
};

// Formats:
//   mooncake  JSON lines with input_length and hash_ids, one id for each block of 512 input tokens; the
//             last block of a request is as long as is left. Each block is one object.
//   queries   text lines, "number:text" or plain; equal texts are one object
//   int32     big-endian 32-bit ids, plain or xz-compressed; each id is one object
// The last two say nothing of sizes: each object draws 64 to 1,024 tokens, uniformly, once, by `seed`.
// "auto" goes by the file's name and first bytes. InvalidArgument names the line or offset.
absl::StatusOr<KvTrace> ReadKvTrace(const std::string& path, const std::string& format, uint64_t seed);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_TRACE_FILE_H_
