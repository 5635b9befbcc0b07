// A KV entry as a safetensors file: tensors "layers.N.k" and "layers.N.v" of shape [tokens, kv_heads,
// head_dim] in the profile's dtype; the header's metadata holds "profile_id" and "tokens", and
// "rotated_from" where K is rotated. Pure but for the file; thread-safe.
#ifndef LARDER_TOOLS_CLI_KV_TENSORS_H_
#define LARDER_TOOLS_CLI_KV_TENSORS_H_

#include <optional>
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
  std::optional<uint32_t> rotated_from;
};

absl::StatusOr<KvFile> ReadKvFileHeader(const std::string& path);

// Every layer of the profile. InvalidArgument naming the tensor that is missing, or that has another
// dtype or shape than the profile and the number of tokens demand.
absl::StatusOr<std::vector<KvLayer>> ReadKvLayers(const std::string& path, const KvProfile& profile,
                                                  size_t token_count);

// `header` names the tokens that the layers hold, which hold `heads` heads each.
absl::Status WriteKvFile(const std::string& path, const KvProfile& profile, const KvFile& header,
                         uint32_t heads, absl::Span<const KvLayer> layers);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_KV_TENSORS_H_
