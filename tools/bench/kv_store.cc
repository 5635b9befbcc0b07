#include "tools/bench/kv_store.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/kv_put.h"

namespace larder::tools {

double KvNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double KvMedian(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

absl::StatusOr<std::unique_ptr<KvBenchStore>> KvBenchStore::Make(const KvOptions& options,
                                                                 const std::string& name,
                                                                 uint64_t pool_bytes) {
  auto store = std::make_unique<KvBenchStore>();
  store->tokens_ = options.tokens;
  store->path_ = absl::StrCat(options.directory, "/", name);
  KvProfile& profile = store->profile_;
  profile.model = "bench";
  profile.layers = options.layers;
  profile.kv_heads = options.heads;
  profile.head_dim = options.dim;
  profile.codec = options.codec;
  // Finite halves of random sign and mantissa; twice over, so that every seed finds its own.
  std::mt19937 random(1);
  for (uint64_t i = 0; i < profile.LayerBytes(options.tokens); ++i) {
    const uint16_t half = static_cast<uint16_t>((random() & 0x83ff) | 0x3800);
    store->tensor_.append(reinterpret_cast<const char*>(&half), sizeof(half));
  }
  OpenOptions open;
  open.create_if_missing = true;
  open.kv_pool_bytes = pool_bytes;
  ASSIGN_OR_RETURN(store->database_, Database::Open(store->path_, open));
  ASSIGN_OR_RETURN(store->profile_id_, store->kv().RegisterProfile(profile));
  return store;
}

std::vector<int32_t> KvBenchTokens(uint32_t seed, uint32_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 49'152);
  return tokens;
}

absl::Status KvBenchStore::Put(uint32_t seed) {
  const uint64_t bytes = profile_.LayerBytes(tokens_);
  std::vector<KvLayer> layers(profile_.layers);
  for (uint32_t i = 0; i < profile_.layers; ++i) {
    const uint64_t from = (seed * 131 + i * 7) * 2 % bytes;
    layers[i] = {i, tensor_.substr(from, bytes), tensor_.substr(bytes - from, bytes)};
  }
  return PutLayers(kv(), {Key(seed), {}}, layers);
}

}  // namespace larder::tools
