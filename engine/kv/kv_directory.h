// Which entries there are, in memory: a small fixed record each, found by the hash of its key.
#ifndef LARDER_ENGINE_KV_KV_DIRECTORY_H_
#define LARDER_ENGINE_KV_KV_DIRECTORY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "larder/kv_stats.h"

namespace larder::kv {

struct DirectoryEntry {
  uint64_t bytes = 0;
  int64_t expires_ms = 0;   // 0 = never
  float saved_seconds = 0;
  uint32_t tokens = 0;
  uint32_t tenant = 0;      // KvTenants' number
  uint32_t rotated_from = 0;  // if rotated
  bool pinned = false, rotated = false;
  friend bool operator==(const DirectoryEntry&, const DirectoryEntry&) = default;
};

// Sharded by hash; a lookup takes its shard's lock shared. Thread-safe.
class KvDirectory {
 public:
  std::optional<DirectoryEntry> Find(const KvKeyHash& hash) const;
  // Returns what was there before.
  std::optional<DirectoryEntry> Put(const KvKeyHash& hash, const DirectoryEntry& entry);
  std::optional<DirectoryEntry> Erase(const KvKeyHash& hash);

  // Entries read from the store as it was when it was opened: not put where a newer Put or Erase has
  // spoken already. False then. Until Filled, erased hashes are remembered.
  bool Fill(const KvKeyHash& hash, const DirectoryEntry& entry);
  void SetFilled();
  // Until then what is not found may be in the store all the same.
  bool filled() const { return filled_.load(std::memory_order_acquire); }

  uint64_t size() const;
  // Of the tables, free slots included.
  uint64_t MemoryBytes() const;

 private:
  static constexpr size_t kShards = 64;
  struct Hasher {
    size_t operator()(const KvKeyHash& hash) const { return hash.low; }  // SHA-256: as good as random
  };
  struct alignas(64) Shard {
    mutable absl::Mutex mu;
    absl::flat_hash_map<KvKeyHash, DirectoryEntry, Hasher> entries ABSL_GUARDED_BY(mu);
    absl::flat_hash_map<KvKeyHash, bool, Hasher> erased ABSL_GUARDED_BY(mu);  // while filling
  };

  Shard& ShardOf(const KvKeyHash& hash) { return shards_[hash.high % kShards]; }
  const Shard& ShardOf(const KvKeyHash& hash) const { return shards_[hash.high % kShards]; }

  std::array<Shard, kShards> shards_;
  std::atomic<bool> filled_ = false;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_DIRECTORY_H_
