// KV entries whose bytes follow from (id, value), so that a reader can tell a wrong byte.
#ifndef LARDER_TESTS_SUPPORT_CRASH_KV_H_
#define LARDER_TESTS_SUPPORT_CRASH_KV_H_

#include <string>
#include <utility>
#include <vector>

#include "larder/kv.h"

namespace larder::testing {

inline KvProfile CrashProfile() {
  KvProfile profile;
  profile.model = "crash-test";
  profile.layers = 2;
  profile.kv_heads = 1;
  profile.head_dim = 64;
  return profile;
}

inline KvKey CrashKey(const std::string& profile_id, const std::string& id, int64_t value) {
  KvKey key;
  key.profile_id = profile_id;
  for (char c : id) key.tokens.push_back(static_cast<unsigned char>(c));
  key.tokens.push_back(static_cast<int32_t>(value % 2'000'000'000));
  return key;
}

inline std::string CrashTensor(const KvKey& key, uint32_t layer, char which) {
  const uint64_t bytes = CrashProfile().LayerBytes(key.tokens.size());
  std::string tensor;
  while (tensor.size() < bytes) tensor += which + std::to_string(layer) + std::to_string(key.tokens.back());
  tensor.resize(bytes);
  return tensor;
}

// False if it was refused, as it may be when the document changed meanwhile.
inline bool PutCrashKv(KvCache* kv, const std::string& profile_id, const std::string& id, int64_t value) {
  KvPutRequest request;
  request.key = CrashKey(profile_id, id, value);
  request.owners = {{"docs", id, 0}};
  const auto handle = kv->PutBegin(request);
  if (!handle.ok()) return false;
  for (uint32_t layer = 0; layer < CrashProfile().layers; ++layer) {
    const auto put = kv->PutLayer(*handle, layer, CrashTensor(request.key, layer, 'k'),
                                  CrashTensor(request.key, layer, 'v'));
    if (!put.ok()) return false;
  }
  return kv->PutCommit(*handle).ok();
}

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_CRASH_KV_H_
