#include "engine/kv/kv_prefetch.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_shared.h"

namespace larder::kv {

using storage::Table;

absl::Status KvPrefetcher::Check(const std::string& profile_id) const {
  const absl::Status pool = CheckPool(context_);
  return pool.ok() ? context_.profiles.Get(profile_id).status() : pool;
}

void KvPrefetcher::Start(uint32_t collection, absl::Span<const uint64_t> vids, const std::string& profile_id) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  for (const uint64_t vid : vids.first(std::min(vids.size(), kMaxPrefetchChunks))) {
    wishes_.push_back({{collection, vid}, profile_id});
  }
  while (wishes_.size() > kMaxPrefetchChunks) wishes_.pop_front();
  if (thread_.has_value() || wishes_.empty()) return;
  try {
    thread_.emplace([this] { Work(); });
  } catch (const std::system_error&) {
    wishes_.clear();  // no thread can be had now
  }
}

void KvPrefetcher::Stop() {
  std::optional<std::thread> thread;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    thread.swap(thread_);
  }
  if (thread.has_value()) thread->join();
}

void KvPrefetcher::Work() {
  for (;;) {
    Wish wish;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &KvPrefetcher::HasWork));
      if (stopping_) return;
      wish = std::move(wishes_.front());
      wishes_.pop_front();
    }
    Bring(wish);
  }
}

void KvPrefetcher::Bring(const Wish& wish) {
  const std::string prefix = ChunkOwnersPrefix(wish.chunk.collection, wish.chunk.vid);
  const auto it = context_.store->NewIterator(Table::kKvOwners, prefix);
  for (; it->Valid() && !stopping(); it->Next()) {
    const auto row = ParseOwnerKey(it->key());
    if (!row.ok()) continue;  // verify tells of it
    const auto parts = ParseEntryKey(row->entry_key);
    if (!parts.ok() || parts->profile_id != wish.profile_id) continue;
    const auto record = context_.store->Get(Table::kKvEntries, row->entry_key);
    if (!record.ok()) continue;
    const auto header = DecodeEntryHeader(*record, EntryName(row->entry_key));
    if (header.ok()) Promote(&context_, row->entry_key, *header).IgnoreError();
  }
}

}  // namespace larder::kv
