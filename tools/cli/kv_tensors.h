// A KV entry as a safetensors file: tensors "layers.N.k" and "layers.N.v" of shape [tokens, kv_heads,
// head_dim] in the profile's dtype, K before RoPE; the header's metadata holds "profile_id" and
// "tokens". Pure but for the file; thread-safe.
#ifndef LARDER_TOOLS_CLI_KV_TENSORS_H_
#define LARDER_TOOLS_CLI_KV_TENSORS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "larder/kv_types.h"

namespace larder::tools {

struct KvFile {
  std::string profile_id;       // "" if the file does not say
  std::vector<int32_t> tokens;  // empty if the file does not say
};

absl::StatusOr<KvFile> ReadKvFileHeader(const std::string& path);

// Every layer of the profile. InvalidArgument naming the tensor that is missing, or that has another
// dtype or shape than the profile and the number of tokens demand.
absl::StatusOr<std::vector<KvLayer>> ReadKvLayers(const std::string& path, const KvProfile& profile,
                                                  size_t token_count);

absl::Status WriteKvFile(const std::string& path, const KvProfile& profile, const KvKey& key,
                         absl::Span<const KvLayer> layers);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_KV_TENSORS_H_
