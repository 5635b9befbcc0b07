#include "engine/kv/pool/lease_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace larder::kv {
namespace {

absl::Status Ended(LeaseId lease) {
  return absl::FailedPreconditionError(
      absl::StrCat("kv lease ", lease, " has ended: it was released, or not renewed in time"));
}

}  // namespace

LeaseId LeaseTable::Add(ClientId client, PoolEntry* entry, uint64_t bytes, absl::Time deadline) {
  const LeaseId lease = next_++;
  leases_.emplace(lease, Lease{client, entry, bytes, deadline});
  Client& holder = clients_[client];
  holder.leases.insert(lease);
  holder.bytes += bytes;
  earliest_ = std::min(earliest_, deadline);
  return lease;
}

absl::Status LeaseTable::Renew(ClientId client, LeaseId lease, absl::Time deadline) {
  const auto it = leases_.find(lease);
  if (it == leases_.end() || it->second.client != client) return Ended(lease);
  it->second.deadline = deadline;
  return absl::OkStatus();
}

absl::StatusOr<PoolEntry*> LeaseTable::Remove(ClientId client, LeaseId lease) {
  const auto it = leases_.find(lease);
  if (it == leases_.end() || it->second.client != client) return Ended(lease);
  const Lease ended = it->second;
  leases_.erase(it);
  const auto holder = clients_.find(client);
  holder->second.leases.erase(lease);
  holder->second.bytes -= ended.bytes;
  if (holder->second.leases.empty()) clients_.erase(holder);
  return ended.entry;
}

std::vector<PoolEntry*> LeaseTable::RemoveClient(ClientId client) {
  std::vector<PoolEntry*> entries;
  const auto holder = clients_.find(client);
  if (holder == clients_.end()) return entries;
  for (const LeaseId lease : holder->second.leases) {
    const auto it = leases_.find(lease);
    entries.push_back(it->second.entry);
    leases_.erase(it);
  }
  clients_.erase(holder);
  return entries;
}

std::vector<PoolEntry*> LeaseTable::RemoveExpired(absl::Time now) {
  std::vector<PoolEntry*> entries;
  if (now < earliest_) return entries;
  std::vector<LeaseId> expired;
  earliest_ = absl::InfiniteFuture();
  for (const auto& [id, lease] : leases_) {
    if (lease.deadline <= now) {
      expired.push_back(id);
    } else {
      earliest_ = std::min(earliest_, lease.deadline);
    }
  }
  for (const LeaseId id : expired) entries.push_back(*Remove(leases_.find(id)->second.client, id));
  return entries;
}

size_t LeaseTable::CountOf(ClientId client) const {
  const auto holder = clients_.find(client);
  return holder == clients_.end() ? 0 : holder->second.leases.size();
}

uint64_t LeaseTable::BytesOf(ClientId client) const {
  const auto holder = clients_.find(client);
  return holder == clients_.end() ? 0 : holder->second.bytes;
}

}  // namespace larder::kv
