// KV entries whose bytes follow from (id, value), so that a reader can tell a wrong byte: raw ones and int4
// ones, with sidecars.
#ifndef LARDER_TESTS_SUPPORT_CRASH_KV_H_
#define LARDER_TESTS_SUPPORT_CRASH_KV_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/kv.h"
#include "larder/kv_codec.h"

namespace larder::testing {

inline constexpr const char* kCrashCodecs[] = {"raw", "int4"};

inline KvProfile CrashProfile(const std::string& codec) {
  KvProfile profile;
  profile.model = "crash-test";
  profile.layers = 2;
  profile.kv_heads = 1;
  profile.head_dim = 64;
  profile.codec = codec;
  return profile;
}

inline constexpr int32_t kDemotableTokens = 40;  // so many more, and a demotion saves bytes
inline KvKey CrashKey(const std::string& profile_id, const std::string& id, int64_t value, int32_t more_tokens = 0) {
  KvKey key;
  key.profile_id = profile_id;
  for (char c : id) key.tokens.push_back(static_cast<unsigned char>(c));
  for (int32_t i = 0; i < more_tokens; ++i) key.tokens.push_back(i);
  key.tokens.push_back(static_cast<int32_t>(value % 2'000'000'000));
  return key;
}

// Digits and letters, which as halves are finite.
inline std::string CrashTensor(const KvKey& key, uint32_t layer, char which) {
  const uint64_t bytes = CrashProfile("raw").LayerBytes(key.tokens.size());
  std::string tensor;
  while (tensor.size() < bytes) tensor += which + std::to_string(layer) + std::to_string(key.tokens.back());
  tensor.resize(bytes);
  return tensor;
}

inline std::string CrashPayload(const std::string& codec, const KvKey& key, uint32_t layer, char which) {
  const kv::KvTensorShape shape{
      .tokens = static_cast<uint32_t>(key.tokens.size()), .heads = 1, .dim = 64, .dtype = KvDtype::kF16};
  const kv::KvSide side = which == 'k' ? kv::KvSide::kKey : kv::KvSide::kValue;
  return *kv::EncodeKv(codec, side, shape, CrashTensor(key, layer, which));
}

// What a raw entry's payload is once it was demoted: int8, then int4 of what int8 had left.
inline std::vector<std::string> CrashDemoted(const KvKey& key, uint32_t layer, char which) {
  const kv::KvTensorShape shape{
      .tokens = static_cast<uint32_t>(key.tokens.size()), .heads = 1, .dim = 64, .dtype = KvDtype::kF16};
  const kv::KvSide side = which == 'k' ? kv::KvSide::kKey : kv::KvSide::kValue;
  const std::string int8 = CrashPayload("int8", key, layer, which);
  std::string tensor(shape.Bytes(), '\0');
  const absl::Status decoded = kv::DecodeKv(
      "int8", side, shape, int8, {}, nullptr,
      kv::ContiguousTarget({reinterpret_cast<std::byte*>(tensor.data()), tensor.size()}, KvDtype::kF16, 1, 64));
  if (!decoded.ok()) return {int8};
  kv::KvEncoding encoding;
  encoding.lost = *kv::KvPayloadError("int8", side, shape, int8);
  return {int8, *kv::EncodeKv("int4", side, shape, tensor, encoding)};
}

// Byte for byte as it was put, or as a demotion makes it.
inline bool IsCrashPayload(const std::string& codec, const KvKey& key, uint32_t layer, char which,
                           absl::string_view payload) {
  if (payload == CrashPayload(codec, key, layer, which)) return true;
  if (codec != "raw") return false;
  const std::vector<std::string> demoted = CrashDemoted(key, layer, which);
  return std::find(demoted.begin(), demoted.end(), payload) != demoted.end();
}

inline std::string CrashSidecar(const KvKey& key) {
  return absl::StrCat("centroids of ", key.tokens.back(), std::string(key.tokens.back() % 10'000, 'c'));
}

// False if it was refused, as it may be when the document changed meanwhile.
inline bool PutCrashKv(KvCache* kv, const std::string& codec, const KvKey& key, const std::string& id) {
  const auto handle = kv->PutBegin({.key = key, .owners = {{"docs", id, 0}}});
  if (!handle.ok()) return false;
  if (!kv->PutSidecar(*handle, KvSidecarKind::kCentroids, CrashSidecar(key)).ok()) return false;
  for (uint32_t layer = 0; layer < CrashProfile(codec).layers; ++layer) {
    const auto put = kv->PutLayer(*handle, layer, CrashTensor(key, layer, 'k'), CrashTensor(key, layer, 'v'));
    if (!put.ok()) return false;
  }
  return kv->PutCommit(*handle).ok();
}

// "", or what differs from what PutCrashKv put. Adds to `reads` what it has compared: K, V, sidecars.
inline std::string CrashDifference(const KvCache& kv, const std::string& codec, const KvKey& key,
                                   uint64_t* reads) {
  std::string difference;
  const KvReadRequest request{.key = key, .encoded = true};
  uint32_t layers = 0;
  const absl::Status status = kv.Read({&request, 1}, [&](const KvLayerRead& read) {
    if (!read.status.ok()) {
      difference = read.status.ToString();
    } else if (!IsCrashPayload(codec, key, read.layer, 'k', read.k) ||
               !IsCrashPayload(codec, key, read.layer, 'v', read.v)) {
      difference = absl::StrCat("wrong bytes in layer ", read.layer);
    }
    ++layers;
    *reads += 2;
    return difference.empty();
  });
  if (!status.ok() || !difference.empty()) return absl::StrCat(status.ToString(), " ", difference);
  if (layers != CrashProfile(codec).layers) return absl::StrCat(layers, " layers");
  const auto sidecar = kv.GetSidecar(key, KvSidecarKind::kCentroids);
  ++*reads;
  if (!sidecar.ok()) return sidecar.status().ToString();
  return *sidecar == CrashSidecar(key) ? "" : "wrong bytes in the sidecar";
}

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_CRASH_KV_H_
