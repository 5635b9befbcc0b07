#include "engine/kv/kv_directory.h"

namespace larder::kv {

std::optional<DirectoryEntry> KvDirectory::Find(const KvKeyHash& hash) const {
  const Shard& shard = ShardOf(hash);
  absl::ReaderMutexLock lock(&shard.mu);
  const auto it = shard.entries.find(hash);
  if (it == shard.entries.end()) return std::nullopt;
  return it->second;
}

std::optional<DirectoryEntry> KvDirectory::Put(const KvKeyHash& hash, const DirectoryEntry& entry) {
  Shard& shard = ShardOf(hash);
  absl::MutexLock lock(&shard.mu);
  const auto [it, is_new] = shard.entries.try_emplace(hash, entry);
  if (is_new) return std::nullopt;
  return std::exchange(it->second, entry);
}

std::optional<DirectoryEntry> KvDirectory::Erase(const KvKeyHash& hash) {
  Shard& shard = ShardOf(hash);
  absl::MutexLock lock(&shard.mu);
  if (!filled()) shard.erased.try_emplace(hash, true);
  const auto it = shard.entries.find(hash);
  if (it == shard.entries.end()) return std::nullopt;
  const DirectoryEntry entry = it->second;
  shard.entries.erase(it);
  return entry;
}

bool KvDirectory::Fill(const KvKeyHash& hash, const DirectoryEntry& entry) {
  Shard& shard = ShardOf(hash);
  absl::MutexLock lock(&shard.mu);
  return !shard.erased.contains(hash) && shard.entries.try_emplace(hash, entry).second;
}

void KvDirectory::SetFilled() {
  filled_.store(true, std::memory_order_release);
  for (Shard& shard : shards_) {
    absl::MutexLock lock(&shard.mu);
    shard.erased = {};
  }
}

uint64_t KvDirectory::size() const {
  uint64_t size = 0;
  for (const Shard& shard : shards_) {
    absl::ReaderMutexLock lock(&shard.mu);
    size += shard.entries.size();
  }
  return size;
}

uint64_t KvDirectory::MemoryBytes() const {
  constexpr uint64_t kSlotBytes = sizeof(std::pair<KvKeyHash, DirectoryEntry>) + 1;  // and a control byte
  uint64_t slots = 0;
  for (const Shard& shard : shards_) {
    absl::ReaderMutexLock lock(&shard.mu);
    slots += shard.entries.capacity();
  }
  return slots * kSlotBytes;
}

}  // namespace larder::kv
