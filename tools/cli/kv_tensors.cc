#include "tools/cli/kv_tensors.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/safetensors.h"
#include "storage/status_macros.h"
#include "tools/cli/input.h"

namespace larder::tools {
namespace {

// Its spelling in a safetensors header.
const char* DtypeName(KvDtype dtype) {
  constexpr const char* kNames[] = {"F32", "F16", "BF16"};
  return kNames[static_cast<size_t>(dtype)];
}

std::string TensorName(uint32_t layer, char which) {
  return absl::StrCat("layers.", layer, ".", absl::string_view(&which, 1));
}

std::vector<uint64_t> Shape(const KvProfile& profile, size_t token_count) {
  return {token_count, profile.kv_heads, profile.head_dim};
}

std::string Describe(absl::string_view dtype, absl::Span<const uint64_t> shape) {
  return absl::StrCat(dtype, " [", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<std::string> ReadTensor(const SafetensorsFile& file, const std::string& path,
                                       const std::string& name, const KvProfile& profile,
                                       size_t token_count) {
  const TensorView* tensor = file.Find(name);
  const std::string expected = Describe(DtypeName(profile.dtype), Shape(profile, token_count));
  if (tensor == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no tensor \"", name, "\", expected ", expected,
                                                   ": the profile has ", profile.layers, " layers"));
  }
  const std::string found = Describe(tensor->dtype, tensor->shape);
  if (found != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": tensor \"", name, "\": expected ", expected, ", found ", found));
  }
  return std::string(tensor->data);
}

}  // namespace

absl::StatusOr<KvFile> ReadKvFileHeader(const std::string& path) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  KvFile header;
  if (auto found = file.metadata().find("profile_id"); found != file.metadata().end()) {
    header.profile_id = found->second;
  }
  if (auto found = file.metadata().find("tokens"); found != file.metadata().end()) {
    ASSIGN_OR_RETURN(header.tokens, ParseTokens(found->second));
  }
  if (auto found = file.metadata().find("rotated_from"); found != file.metadata().end()) {
    uint32_t position = 0;
    if (!absl::SimpleAtoi(found->second, &position)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": rotated_from is \"", found->second, "\", expected a position"));
    }
    header.rotated_from = position;
  }
  return header;
}

absl::StatusOr<std::vector<KvLayer>> ReadKvLayers(const std::string& path, const KvProfile& profile,
                                                  size_t token_count) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  if (file.tensors().size() != 2 * size_t{profile.layers}) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected ", 2 * profile.layers,
                                                   " tensors (K and V of ", profile.layers,
                                                   " layers), found ", file.tensors().size()));
  }
  std::vector<KvLayer> layers(profile.layers);
  for (uint32_t i = 0; i < profile.layers; ++i) {
    layers[i].layer = i;
    ASSIGN_OR_RETURN(layers[i].k, ReadTensor(file, path, TensorName(i, 'k'), profile, token_count));
    ASSIGN_OR_RETURN(layers[i].v, ReadTensor(file, path, TensorName(i, 'v'), profile, token_count));
  }
  return layers;
}

absl::Status WriteKvFile(const std::string& path, const KvProfile& profile, const KvFile& header,
                         uint32_t heads, absl::Span<const KvLayer> layers) {
  std::vector<TensorView> tensors;
  const std::vector<uint64_t> shape = {header.tokens.size(), heads, profile.head_dim};
  for (const KvLayer& layer : layers) {
    tensors.push_back({TensorName(layer.layer, 'k'), DtypeName(profile.dtype), shape, layer.k});
    tensors.push_back({TensorName(layer.layer, 'v'), DtypeName(profile.dtype), shape, layer.v});
  }
  std::map<std::string, std::string> metadata = {
      {"profile_id", header.profile_id},
      {"tokens", absl::StrCat("[", absl::StrJoin(header.tokens, ","), "]")}};
  if (header.rotated_from.has_value()) metadata["rotated_from"] = absl::StrCat(*header.rotated_from);
  return WriteSafetensors(path, tensors, metadata);
}

}  // namespace larder::tools
