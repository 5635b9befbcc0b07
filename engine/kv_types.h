// The values of the KV cache's API. Header-only; the client uses them too.
#ifndef LARDER_KV_TYPES_H_
#define LARDER_KV_TYPES_H_

#include <cstdint>
#include <string>
#include <vector>

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
  uint32_t rotary_dim = 0;       // 0 = head_dim
  std::string rope_scaling;      // canonical text of type and factors; "" = none
  bool k_before_rope = true;
  uint32_t sliding_window = 0;   // 0 = full attention
  std::string prompt_template;   // template and BOS policy the tokens were produced under
  std::string codec = "raw";

  uint64_t BytesPerElement() const { return dtype == KvDtype::kF32 ? 4 : 2; }
  // Bytes of K (or of V) of one layer.
  uint64_t LayerBytes(uint64_t tokens) const { return tokens * kv_heads * head_dim * BytesPerElement(); }
  friend bool operator==(const KvProfile&, const KvProfile&) = default;
};

struct KvKey {
  std::string tenant;
  std::string profile_id;
  std::vector<int32_t> tokens;
};

// The chunk that an entry belongs to; deleting it deletes the entry unless another chunk holds it.
struct KvOwner {
  std::string collection;
  std::string document_id;  // of the key's tenant
  uint32_t ordinal = 0;
};

struct KvPutRequest {
  KvKey key;
  std::vector<KvOwner> owners;  // may be empty: kept until deleted by key
};
using KvPutHandle = uint64_t;

struct KvLookup {
  bool hit = false;
  uint64_t bytes = 0;   // all layers, K and V
  uint32_t tokens = 0;
};

struct KvLayer {
  uint32_t layer = 0;
  std::string k, v;     // [token][kv_head][head_dim], the profile's dtype, little endian
};

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
