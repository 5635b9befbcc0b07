// Options of the public API. Each struct validates itself; nothing is silently capped.
#ifndef LARDER_OPTIONS_H_
#define LARDER_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "larder/types.h"

namespace larder {

// Limits of the KV cache; 0 = none.
struct KvOptions {
  uint64_t disk_bytes = 0;    // of payloads on disk; beyond it entries are evicted, the least worth first
  uint64_t tenant_bytes = 0;  // of each tenant that has no quota of its own; it evicts its own entries
  // Where entries would be evicted, they are first re-encoded, a step a time: raw, int8, int4, this one at
  // most; never those of a profile that keeps K as it was given (k_before_rope false). "" = evict at once.
  // Who makes room waits for it: about 0.1 GB/s.
  std::string demote_to = {};
};

inline constexpr uint64_t kLeastMemoryBytes = 48ull << 20;  // the process, and building a tree

struct OpenOptions {
  bool create_if_missing = false;
  bool error_if_exists = false;
  // Open although the store is behind its commit mark: what is left becomes the truth.
  // Set by `larder repair` only.
  bool accept_data_loss = false;
  // What the database may take of memory, all in all, except for kv_pool_bytes and a loaded embedder; 0 = no limit.
  // Where it grows short, collections of index kAuto move to a tree on disk, the largest first, in the background;
  // those of kFlat and kHnsw stay. At least the caches below, twice the write buffer, and kLeastMemoryBytes.
  uint64_t memory_bytes = 0;
  uint64_t block_cache_bytes = 64ull << 20;
  uint64_t write_buffer_bytes = 64ull << 20;
  // Index snapshots are taken at close and after this many changed chunks.
  uint64_t snapshot_every = 1'000'000;
  // Threads that add the vectors of upserts to graphs, over all collections: each caller's own, and others beside
  // these while fewer than so many are at work. 0 = as many as the machine runs at once.
  uint32_t index_threads = 0;
  // Shared memory for KV entries, in which readers on this host see them without a copy: of all tenants
  // together, at least 4 MiB. 0 = none.
  uint64_t kv_pool_bytes = 0;
  absl::Duration expiry_sweep_interval = absl::Seconds(1);
  // Measure in the background which ef finds how much, once a graph is searched, and check some
  // answers (at most 1 % of the searches' time). Without it target_recall uses a wide ef.
  bool tune_recall = true;
  // Where all-MiniLM-L6-v2 lies (model.safetensors, vocab.txt); "" = $LARDER_MODEL_DIR, then the
  // directory that was found when Larder was built.
  std::string model_dir;
  std::function<absl::Time()> clock = &absl::Now;  // for expiry
  KvOptions kv;

  absl::Status Validate() const;
};

// How an hnsw holds its vectors in memory; the store keeps them as they came.
enum class RowCode : uint8_t {
  kAuto = 0,    // sq4x8 from 64 dimensions on, else f32
  kF32 = 1,     // exact distances, 4 bytes a dimension
  kSq4x8 = 2,   // 12 bits a dimension once there are some thousand vectors
};

struct HnswOptions {
  uint32_t m = 16;                 // links per node and layer, M in Malkov & Yashunin; 2 to 128
  uint32_t ef_construction = 200;  // candidates at insertion; m to 10,000
  uint32_t ef_search = 96;         // default candidates at search; 1 to 10,000
  RowCode row_code = RowCode::kAuto;
  absl::Status Validate() const;
};

struct VectorSpaceOptions {
  std::string name = "default";    // [a-z0-9_-]{1,64}
  uint32_t dimension = 0;          // 1 to 65,536; 0 = the embedder's
  Metric metric = Metric::kCosine;
  // kTree keeps vectors on disk and little in memory; it serves from some thousand vectors on, flat until then.
  IndexKind index = IndexKind::kAuto;
  // Of Matryoshka embeddings: searches look at the first so many dimensions, then at all of what that finds;
  // less than `dimension`; 0 = at all from the start. Not with kTree.
  uint32_t prefix = 0;
  HnswOptions hnsw;
  absl::Status Validate() const;
};

struct ChunkingOptions {
  uint32_t max_tokens = 200;       // per chunk, 8 to 8,192; by the embedder's tokenizer
  uint32_t overlap_tokens = 30;    // repeated from the chunk before; < max_tokens / 2
  bool prepend_title = true;       // the embedder sees "title\nsection\ntext"
  absl::Status Validate() const;
};

struct HttpEmbedderOptions {
  std::string url;                 // e.g. "http://127.0.0.1:8000/v1/embeddings"
  std::string model;
  std::string api_key_env;         // name of the environment variable that holds the key
  uint32_t batch = 64;             // texts a request, 1 to 2,048
  uint32_t max_attempts = 4;       // on 408, 429, 5xx and transport errors; 1 to 10
  absl::Duration timeout = absl::Seconds(30);
  absl::Status Validate() const;
};

enum class EmbedderKind : uint8_t { kNone = 0, kMiniLm = 1, kHttp = 2 };

// Immutable once the collection is created; persisted in the catalog.
struct CollectionOptions {
  EmbedderKind embedder = EmbedderKind::kMiniLm;
  HttpEmbedderOptions http;        // used by kHttp
  std::vector<VectorSpaceOptions> spaces = {VectorSpaceOptions{}};  // 1 to 16
  ChunkingOptions chunking;
  absl::Status Validate() const;
};

struct WriteOptions {
  bool sync = true;  // acknowledged means on disk; false: lost at power failure until the next sync
};

}  // namespace larder

#endif  // LARDER_OPTIONS_H_
