#include "larder/options.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

absl::Status InRange(absl::string_view what, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is ", value, ", expected ", low, " to ", high));
}

}  // namespace

absl::Status OpenOptions::Validate() const {
  RETURN_IF_ERROR(InRange("block_cache_bytes", block_cache_bytes, 1 << 20, uint64_t{1} << 40));
  RETURN_IF_ERROR(InRange("write_buffer_bytes", write_buffer_bytes, 1 << 20, uint64_t{1} << 36));
  if (memory_bytes != 0) {
    RETURN_IF_ERROR(InRange("memory_bytes", memory_bytes, block_cache_bytes + 2 * write_buffer_bytes + kLeastMemoryBytes,
                            uint64_t{1} << 50));
  }
  RETURN_IF_ERROR(InRange("snapshot_every", snapshot_every, 1, UINT64_MAX));
  RETURN_IF_ERROR(InRange("index_threads", index_threads, 0, 1'024));
  if (kv_pool_bytes != 0) {
    RETURN_IF_ERROR(InRange("kv_pool_bytes", kv_pool_bytes, 4 << 20, uint64_t{1} << 40));
  }
  if (!kv.demote_to.empty() && kv.demote_to != "int8" && kv.demote_to != "int4") {
    return absl::InvalidArgumentError(
        absl::StrCat("kv demote_to is \"", absl::CHexEscape(kv.demote_to), "\", expected \"\", int8 or int4"));
  }
  if (expiry_sweep_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("expiry_sweep_interval must be positive");
  }
  if (!clock) return absl::InvalidArgumentError("clock is empty");
  return absl::OkStatus();
}

absl::Status HnswOptions::Validate() const {
  RETURN_IF_ERROR(InRange("hnsw m", m, 2, 128));
  RETURN_IF_ERROR(InRange("hnsw ef_construction", ef_construction, m, 10'000));
  RETURN_IF_ERROR(InRange("hnsw ef_search", ef_search, 1, 10'000));
  return InRange("hnsw row_code", static_cast<uint64_t>(row_code), 0, 2);
}

absl::Status ValidateName(absl::string_view what, absl::string_view name) {
  bool good = !name.empty() && name.size() <= 64;
  for (char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-');
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " name \"", name.substr(0, 80), "\": expected 1 to 64 of a-z, 0-9, _ and -"));
}

absl::Status VectorSpaceOptions::Validate() const {
  RETURN_IF_ERROR(ValidateName("vector space", name));
  RETURN_IF_ERROR(InRange("dimension", dimension, 0, 65'536));
  RETURN_IF_ERROR(InRange("index kind", static_cast<uint64_t>(index), 0, 3));
  if (index == IndexKind::kTree && prefix > 0) {
    return absl::InvalidArgumentError(absl::StrCat("prefix is ", prefix, ", expected 0: a tree compares whole vectors"));
  }
  // A dimension of 0 is the embedder's: checked again when that is known.
  RETURN_IF_ERROR(InRange("prefix (less than the dimension)", prefix, 0, dimension == 0 ? 65'535 : dimension - 1));
  return hnsw.Validate();
}

absl::Status ChunkingOptions::Validate() const {
  RETURN_IF_ERROR(InRange("max_tokens", max_tokens, 8, 8'192));
  if (overlap_tokens * 2 < max_tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("overlap_tokens is ", overlap_tokens,
                                                 ", expected less than half of max_tokens (", max_tokens, ")"));
}

absl::Status HttpEmbedderOptions::Validate() const {
  if (url.rfind("http://", 0) != 0 && url.rfind("https://", 0) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("http embedder: url \"", url, "\" is not http:// or https://"));
  }
  RETURN_IF_ERROR(InRange("http embedder batch", batch, 1, 2'048));
  RETURN_IF_ERROR(InRange("http embedder max_attempts", max_attempts, 1, 10));
  if (timeout > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError("http embedder: timeout must be positive");
}

absl::Status CollectionOptions::Validate() const {
  RETURN_IF_ERROR(InRange("vector spaces", spaces.size(), 1, 16));
  for (size_t i = 0; i < spaces.size(); ++i) {
    RETURN_IF_ERROR(spaces[i].Validate());
    if (spaces[i].dimension == 0 && embedder == EmbedderKind::kNone) {
      return absl::InvalidArgumentError(
          absl::StrCat("vector space \"", spaces[i].name, "\": dimension is needed, as there is no embedder"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (spaces[i].name == spaces[j].name) {
        return absl::InvalidArgumentError(absl::StrCat("vector space \"", spaces[i].name, "\" stands twice"));
      }
    }
  }
  if (embedder == EmbedderKind::kHttp) RETURN_IF_ERROR(http.Validate());
  return chunking.Validate();
}

}  // namespace larder
