// The part of KvTier that takes entries away.
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_demote.h"
#include "engine/kv/kv_drop.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Table;

// Eviction in the background begins above the first and ends below the second, in percent of the
// budget: puts find room, and seldom wait for it.
constexpr uint64_t kHighPercent = 98, kLowPercent = 95;

}  // namespace

KvTier::Room& KvTier::Room::operator=(Room&& other) noexcept {
  std::swap(tier_, other.tier_);
  std::swap(tenant_, other.tenant_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

KvTier::Room::~Room() {
  if (tier_ == nullptr) return;
  tier_->reserved_ -= bytes_;
  tier_->tenants_[tenant_].reserved -= bytes_;
}

absl::StatusOr<std::optional<KvKeyHash>> KvTier::FullHash(uint64_t policy_id) const {
  const auto it = context_.store->NewIterator(Table::kKvOwners, SummaryPrefix(policy_id));
  if (!it->Valid()) {
    RETURN_IF_ERROR(it->status());
    return std::optional<KvKeyHash>();
  }
  ASSIGN_OR_RETURN(const KvKeyHash hash, ParseSummaryKey(it->key()));
  return hash;
}

bool KvTier::DemoteInstead(const KvKeyHash& hash) {
  if (demote_to_.empty()) return false;
  const auto summary = ReadSummary(hash);
  if (!summary.ok() || summary->pinned) return false;
  const auto demoted = Demote(&context_, summary->entry_key, demote_to_);
  if (!demoted.ok() || !*demoted) return false;
  ++demotions_;
  return true;
}

absl::StatusOr<bool> KvTier::Remove(const KvKeyHash& hash, Why why) {
  const auto found = ReadSummary(hash);
  if (absl::IsNotFound(found.status())) return false;
  RETURN_IF_ERROR(found.status());
  const std::string& entry_key = found->entry_key;
  const KeyLocks::Held held = context_.entry_locks.Acquire({entry_key});
  const auto summary = ReadSummary(hash);  // as it is under the lock
  if (absl::IsNotFound(summary.status())) return false;
  RETURN_IF_ERROR(summary.status());
  const bool due = why == Why::kRoom ? !summary->pinned
                                     : summary->expires_ms != 0 && summary->expires_ms <= NowMs();
  if (!due) return false;
  storage::WriteBatch batch;
  RETURN_IF_ERROR(DropEntry(context_, entry_key, &batch));
  // Not synced: an eviction that is lost is done again.
  const auto written = context_.store->Write(std::move(batch), /*sync=*/false);
  if (written.ok()) {
    if (const auto entry = directory_.Find(hash)) ++tenants_[entry->tenant].evictions;
    ++(why == Why::kRoom ? evictions_ : expirations_);
    absl::MutexLock lock(&mu_);
    if (why == Why::kRoom) policy_->Evict(hash.high);
  }
  Refresh(entry_key);
  RETURN_IF_ERROR(written.status());
  return true;
}

uint64_t KvTier::UseOf(Limit limit, uint32_t tenant) const {
  if (limit == Limit::kBudget) return bytes_ + reserved_;
  return tenants_[tenant].bytes + tenants_[tenant].reserved;
}

absl::Status KvTier::Evict(Limit limit, uint32_t tenant, uint64_t bytes, uint64_t limit_bytes) {
  const auto any = [](uint64_t) { return true; };
  while (UseOf(limit, tenant) + bytes > limit_bytes) {
    std::optional<uint64_t> victim;
    if (bytes <= limit_bytes) {
      absl::MutexLock lock(&mu_);
      victim = limit == Limit::kBudget ? policy_->Victim(any) : policy_->VictimOf(tenant, any);
    }
    if (!victim.has_value()) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "kv: tenant '", absl::CHexEscape(tenants_[tenant].name), "' puts ", bytes, " bytes; ",
          limit == Limit::kQuota ? "its quota" : "the budget of the disk tier", " is ", limit_bytes, " bytes, ",
          UseOf(limit, tenant), " are in use, and none of them may be evicted"));
    }
    ASSIGN_OR_RETURN(const std::optional<KvKeyHash> hash, FullHash(*victim));
    bool removed = false;
    if (hash.has_value() && DemoteInstead(*hash)) continue;
    if (hash.has_value()) {
      ASSIGN_OR_RETURN(removed, Remove(*hash, Why::kRoom));
    }
    if (removed) continue;
    absl::MutexLock lock(&mu_);  // pinned or deleted meanwhile
    policy_->Erase(*victim);
  }
  return absl::OkStatus();
}

absl::StatusOr<KvTier::Room> KvTier::MakeRoom(absl::string_view tenant, uint64_t bytes) {
  RETURN_IF_ERROR(quotas_read_);
  if (!limited()) return Room();
  const uint32_t number = tenants_.Number(tenant);
  {
    absl::MutexLock lock(&mu_);  // what is not counted yet cannot be held against a limit
    mu_.Await(absl::Condition(&fill_ended_));
    RETURN_IF_ERROR(fill_status_);
  }
  absl::MutexLock lock(&evicting_);
  const uint64_t quota = tenants_[number].quota_bytes;
  if (quota != 0) RETURN_IF_ERROR(Evict(Limit::kQuota, number, bytes, quota));
  if (budget_bytes_ != 0) RETURN_IF_ERROR(Evict(Limit::kBudget, number, bytes, budget_bytes_));
  reserved_ += bytes;
  tenants_[number].reserved += bytes;
  return Room(this, number, bytes);
}

absl::Status KvTier::RemoveExpired(absl::string_view entry_key) {
  const KvKeyHash hash = HashOf(entry_key);
  return Expired(hash) ? Remove(hash, Why::kExpired).status() : absl::OkStatus();
}

absl::StatusOr<uint64_t> KvTier::Sweep() {
  if (!directory_.filled()) return 0;
  std::vector<KvKeyHash> expired;
  {
    absl::MutexLock lock(&mu_);
    const int64_t now = NowMs();
    for (auto it = expiries_.begin(); it != expiries_.end() && it->first <= now; ++it) expired.push_back(it->second);
  }
  for (const KvKeyHash& hash : expired) RETURN_IF_ERROR(Remove(hash, Why::kExpired).status());
  absl::MutexLock lock(&evicting_);
  const std::vector<const KvTenant*> tenants = tenants_.All();
  for (uint32_t i = 0; i < tenants.size(); ++i) {
    const uint64_t quota = tenants[i]->quota_bytes;
    // What is left is pinned, and stays.
    if (quota != 0) {
      const absl::Status status = Evict(Limit::kQuota, i, 0, quota);
      if (!absl::IsResourceExhausted(status)) RETURN_IF_ERROR(status);
    }
  }
  if (budget_bytes_ != 0 && bytes_ > budget_bytes_ / 100 * kHighPercent) {
    const absl::Status status = Evict(Limit::kBudget, 0, 0, budget_bytes_ / 100 * kLowPercent);
    if (!absl::IsResourceExhausted(status)) RETURN_IF_ERROR(status);
  }
  const uint64_t total = evictions_ + expirations_ + demotions_;
  return total - std::exchange(reported_, total);
}

}  // namespace larder::kv
