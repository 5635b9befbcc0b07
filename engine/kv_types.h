// The values of the KV cache's API. Header-only; the client uses them too.
#ifndef LARDER_KV_TYPES_H_
#define LARDER_KV_TYPES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace larder {

enum class KvDtype : uint8_t { kF32 = 0, kF16 = 1, kBf16 = 2 };
enum class RopeStyle : uint8_t { kNone = 0, kNeox = 1, kInterleaved = 2 };

// Everything that decides whether a KV tensor can be reused. Two profiles that differ in any field
// never share an entry.
struct KvProfile {
  std::string model, model_revision, weights_sha256;
  std::string tokenizer, tokenizer_revision;
  std::string adapter;           // LoRA name and revision; "" = none
  KvDtype dtype = KvDtype::kF16;
  uint32_t layers = 0;           // 1 to 1,024
  uint32_t kv_heads = 0;         // 1 to 1,024, all of them whatever the tensor parallelism
  uint32_t head_dim = 0;         // 1 to 4,096
  RopeStyle rope_style = RopeStyle::kNeox;
  double rope_theta = 10000.0;
  // Effective inverse frequencies, one a rotated pair, for scaled RoPE; empty = those of rope_theta.
  std::vector<double> rope_frequencies;
  uint32_t rotary_dim = 0;       // 0 = head_dim
  std::string rope_scaling;      // canonical text of type and factors; "" = none
  bool k_before_rope = true;
  uint32_t sliding_window = 0;   // 0 = full attention
  std::string prompt_template;   // template and BOS policy the tokens were produced under
  std::string codec = "raw";     // how it is kept: "raw", "int8", "int4" or "mixed"

  uint64_t BytesPerElement() const { return dtype == KvDtype::kF32 ? 4 : 2; }
  // Bytes of K (or of V) of one layer, decoded.
  uint64_t LayerBytes(uint64_t tokens) const { return tokens * kv_heads * head_dim * BytesPerElement(); }
  friend bool operator==(const KvProfile&, const KvProfile&) = default;
};

// What stood before the tokens when their KV was computed.
enum class KvVariantKind : uint8_t {
  kNone = 0,           // nothing
  kSharedPrefix = 1,   // a prefix that many chunks share: its chunks, in order
  kOrderedPrefix = 2,  // these chunks, in this order
  kSourceSet = 3,      // these chunks, whatever their order
};
struct KvVariant {
  KvVariantKind kind = KvVariantKind::kNone;
  std::vector<std::string> context;  // KvTokenHash of each chunk, 1 to 1,024; none for kNone
  friend bool operator==(const KvVariant&, const KvVariant&) = default;
};

struct KvKey {
  std::string tenant;
  std::string profile_id;
  std::vector<int32_t> tokens;
  KvVariant variant = {};
};

// The chunk that an entry belongs to; deleting it deletes the entry unless another chunk holds it.
struct KvOwner {
  std::string collection;
  std::string document_id;  // of the key's tenant
  uint32_t ordinal = 0;
};

// What the caller believes its tensors to be: [tokens][kv_heads][head_dim] of dtype.
struct KvForm {
  uint32_t tokens = 0, kv_heads = 0, head_dim = 0;
  KvDtype dtype = KvDtype::kF16;
};

struct KvPutRequest {
  KvKey key;
  std::vector<KvOwner> owners;  // may be empty: kept until deleted by key
  // Position that K's first token is rotated to as given; absent = K comes before RoPE. With
  // k_before_rope the rotation is undone in f32 before K is kept; else it is kept as given, and this
  // must be set.
  std::optional<uint32_t> rotated_from = std::nullopt;
  std::optional<KvForm> form = std::nullopt;  // held against the profile and the tokens, if given
  // Of prefill, that a hit saves: entries go by this a byte. Absent: estimated from tokens and layers.
  std::optional<double> compute_seconds = std::nullopt;
  // FailedPrecondition at PutBegin if the tier is full and this was not asked for often enough to be
  // worth what would have to go for it: a newcomer, at its first put.
  bool may_decline = false;
};
using KvPutHandle = uint64_t;

// Small tensors beside an entry; their contents are their maker's own.
enum class KvSidecarKind : uint8_t {
  kSaliency = 0,        // how much each token matters
  kInterAttention = 1,  // attention to each chunk of the context
  kCentroids = 2,       // of segments, for sparse reads
};

struct KvLookup {
  bool hit = false;
  uint64_t bytes = 0;  // as kept: all layers, K and V
  uint32_t tokens = 0;
  // Position of K's first token, where K is kept rotated.
  std::optional<uint32_t> rotated_from = std::nullopt;
};

struct KvLayer {
  uint32_t layer = 0;
  std::string k, v;     // [token][kv_head][head_dim], the profile's dtype, little endian
};

// Likewise, seen in shared memory.
struct KvLayerView {
  absl::string_view k, v;  // as the profile's codec keeps them; 4 KiB aligned, mapped read-only
};

// One entry, or a part of it. A count of 0 = all that follow.
struct KvReadRequest {
  KvKey key;
  uint32_t first_layer = 0, layers = 0;
  uint32_t first_token = 0, tokens = 0;
  std::vector<uint32_t> token_list = {};  // instead of a range: strictly ascending
  uint32_t first_head = 0, heads = 0;     // one rank's part of a tensor-parallel split
  // The position that the entry's first token is to have; token t gets rotate_to + t. Absent: K as it
  // is kept.
  std::optional<uint32_t> rotate_to = std::nullopt;
  bool encoded = false;  // payloads as they are kept: whole layers only, unrotated
};
// What a Read hands over, layer by layer. After a status that is not OK nothing more of the object
// comes. The views last as long as the call.
struct KvLayerRead {
  size_t object = 0;  // index of its request
  absl::Status status;
  uint32_t layer = 0;
  absl::string_view k, v;
};
// False ends the read.
using KvReadSink = absl::FunctionRef<bool(const KvLayerRead&)>;

struct KvPlanRequest {
  std::string tenant;
  std::string profile_id;
  std::vector<std::vector<int32_t>> chunks;  // token ids of each chunk, in prompt order
  uint32_t first_position = 0;               // position of the first chunk's first token
};
struct KvPlanItem {
  bool hit = false;
  uint32_t position = 0;  // of its first token
  uint32_t tokens = 0;
  uint64_t bytes = 0;     // to load; 0 on a miss
};
struct KvPlan {
  std::vector<KvPlanItem> items;
  uint64_t hit_tokens = 0, miss_tokens = 0, bytes = 0;
};

}  // namespace larder

#endif  // LARDER_KV_TYPES_H_
