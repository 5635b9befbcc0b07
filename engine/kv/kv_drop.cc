#include "engine/kv/kv_drop.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Counter;
using storage::Table;
using storage::WriteBatch;

// Appends to `keys` the entries that the iterator's owner rows name, up to the end of `prefix`.
absl::Status CollectEntries(storage::Iterator* it, absl::string_view prefix, std::vector<std::string>* keys) {
  for (it->Seek(prefix); it->Valid() && absl::StartsWith(it->key(), prefix); it->Next()) {
    ASSIGN_OR_RETURN(OwnerRow row, ParseOwnerKey(it->key()));
    keys->push_back(std::move(row.entry_key));
  }
  return it->status();
}

void DeleteOwner(const OwnerRow& owner, WriteBatch* batch) {
  batch->Delete(Table::kKvOwners, ChunkOwnerKey(owner));
  batch->Delete(Table::kKvOwners, EntryOwnerKey(owner));
}

// Takes the owners that `gone` names from one entry, and the entry with the last of them. An entry
// that none of them owns (any more) is left alone: it may have been put anew since its rows were read.
absl::Status DropOwners(const KvContext& context, const std::string& entry_key,
                        const std::function<bool(const OwnerRow&)>& gone, WriteBatch* batch) {
  ASSIGN_OR_RETURN(const std::vector<OwnerRow> owners, ReadOwners(*context.store, entry_key));
  const auto going = static_cast<size_t>(std::count_if(owners.begin(), owners.end(), gone));
  if (going == 0) return absl::OkStatus();
  if (going == owners.size()) return DropEntry(context, entry_key, batch);
  for (const OwnerRow& owner : owners) {
    if (gone(owner)) DeleteOwner(owner, batch);
  }
  return absl::OkStatus();
}

void SortUnique(std::vector<std::string>* keys) {
  std::sort(keys->begin(), keys->end());
  keys->erase(std::unique(keys->begin(), keys->end()), keys->end());
}

}  // namespace

RefreshLater& RefreshLater::operator=(RefreshLater&& other) noexcept {
  std::swap(tier_, other.tier_);
  std::swap(keys_, other.keys_);
  return *this;
}

RefreshLater::~RefreshLater() {
  for (const std::string& key : keys_) tier_->Refresh(key);
}

absl::StatusOr<std::vector<OwnerRow>> ReadOwners(const storage::Store& store, absl::string_view entry_key) {
  std::vector<OwnerRow> owners;
  const auto it = store.NewIterator(Table::kKvOwners, EntryOwnersPrefix(entry_key));
  for (; it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(OwnerRow row, ParseOwnerKey(it->key()));
    owners.push_back(std::move(row));
  }
  RETURN_IF_ERROR(it->status());
  return owners;
}

absl::Status DropEntry(const KvContext& context, absl::string_view entry_key, WriteBatch* batch) {
  if (context.pool != nullptr) context.pool->Drop(entry_key);  // at once: its lock keeps it from coming back
  ASSIGN_OR_RETURN(const std::vector<OwnerRow> owners, ReadOwners(*context.store, entry_key));
  for (const OwnerRow& owner : owners) DeleteOwner(owner, batch);
  batch->Delete(Table::kKvOwners, SummaryKey(HashOf(entry_key)));
  const auto record = context.store->Get(Table::kKvEntries, entry_key);
  if (absl::IsNotFound(record.status())) return absl::OkStatus();
  if (!record.ok() && !absl::IsDataLoss(record.status())) return record.status();
  batch->Delete(Table::kKvEntries, entry_key);
  batch->Count(Counter::kKvEntries, -1);
  if (!record.ok()) return absl::OkStatus();
  const auto entry = DecodeEntry(*record, EntryName(entry_key));
  if (!entry.ok()) return absl::OkStatus();
  for (const storage::ExtentPointer& pointer : PointersOf(*entry)) context.extents->Release(pointer, batch);
  return absl::OkStatus();
}

absl::StatusOr<KvDropGuard> DropChunks(KvContext* context, uint32_t collection,
                                       absl::Span<const uint64_t> vids, WriteBatch* batch) {
  KvDropGuard guard;
  if (vids.empty()) return guard;
  std::vector<std::string> prefixes;
  prefixes.reserve(vids.size());
  for (const uint64_t vid : vids) prefixes.push_back(ChunkOwnersPrefix(collection, vid));
  SortUnique(&prefixes);
  guard.chunks = context->chunk_locks.Acquire(prefixes);

  std::vector<std::string> entries;
  const auto it = context->store->NewIterator(Table::kKvOwners, CollectionOwnersPrefix(collection));
  for (const std::string& prefix : prefixes) RETURN_IF_ERROR(CollectEntries(it.get(), prefix, &entries));
  SortUnique(&entries);
  guard.entries = context->entry_locks.Acquire(entries);
  guard.refresh = RefreshLater(context->tier, entries);

  const absl::flat_hash_set<uint64_t> set(vids.begin(), vids.end());
  const auto gone = [&](const OwnerRow& owner) {
    return owner.collection == collection && set.contains(owner.vid);
  };
  for (const std::string& entry : entries) RETURN_IF_ERROR(DropOwners(*context, entry, gone, batch));
  return guard;
}

absl::StatusOr<KvDropGuard> DropCollection(KvContext* context, uint32_t collection, WriteBatch* batch) {
  KvDropGuard guard;
  guard.chunks = context->chunk_locks.AcquireAll();
  guard.entries = context->entry_locks.AcquireAll();
  std::vector<std::string> entries;
  const std::string prefix = CollectionOwnersPrefix(collection);
  const auto it = context->store->NewIterator(Table::kKvOwners, prefix);
  RETURN_IF_ERROR(CollectEntries(it.get(), prefix, &entries));
  SortUnique(&entries);
  guard.refresh = RefreshLater(context->tier, entries);
  const auto gone = [&](const OwnerRow& owner) { return owner.collection == collection; };
  for (const std::string& entry : entries) RETURN_IF_ERROR(DropOwners(*context, entry, gone, batch));
  return guard;
}

}  // namespace larder::kv
