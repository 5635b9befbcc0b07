#include "engine/kv/kv_tier.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Table;

constexpr absl::string_view kPolicy = "larder";
// Objects that the policy's sketch is made for, at least.
constexpr uint64_t kLeastObjects = 1 << 16;

KvObject ObjectOf(const KvKeyHash& hash, const DirectoryEntry& entry) {
  return {hash.high, std::max<uint64_t>(1, entry.bytes), entry.saved_seconds, entry.tenant};
}

}  // namespace

KvTier::KvTier(KvContext* context, const KvOptions& options)
    : context_(*context),
      budget_bytes_(options.disk_bytes),
      demote_to_(options.demote_to),
      tenants_(context->store, options.tenant_bytes) {
  const auto entries = context->store->state().counters[static_cast<int>(storage::Counter::kKvEntries)];
  const uint64_t objects = std::max<uint64_t>(kLeastObjects, entries > 0 ? 2 * entries : 0);
  quotas_read_ = tenants_.Open();
  absl::MutexLock lock(&mu_);
  policy_ = *MakePolicy(kPolicy, objects);  // a name that it knows
}

int64_t KvTier::NowMs() const { return absl::ToUnixMillis(context_.clock()); }

DirectoryEntry KvTier::EntryOf(const Summary& summary) {
  DirectoryEntry entry;
  entry.bytes = summary.bytes;
  entry.expires_ms = summary.expires_ms;
  entry.saved_seconds = static_cast<float>(summary.saved_seconds);
  entry.tokens = summary.tokens;
  const auto parts = ParseEntryKey(summary.entry_key);
  entry.tenant = tenants_.Number(parts.ok() ? parts->tenant : "");
  entry.pinned = summary.pinned;
  entry.rotated = summary.rotated_from.has_value();
  entry.rotated_from = summary.rotated_from.value_or(0);
  return entry;
}

void KvTier::Account(const KvKeyHash& hash, const DirectoryEntry& entry) {
  bytes_ += entry.bytes;
  tenants_[entry.tenant].bytes += entry.bytes;
  ++tenants_[entry.tenant].entries;
  if (entry.expires_ms != 0) expiries_.emplace(entry.expires_ms, hash);
  expiring_ = expiries_.size();
  if (entry.pinned) {
    ++pinned_entries_;
    pinned_bytes_ += entry.bytes;
  } else {
    policy_->Insert(ObjectOf(hash, entry));
  }
}

void KvTier::Unaccount(const KvKeyHash& hash, const DirectoryEntry& entry) {
  bytes_ -= entry.bytes;
  tenants_[entry.tenant].bytes -= entry.bytes;
  --tenants_[entry.tenant].entries;
  expiries_.erase({entry.expires_ms, hash});
  expiring_ = expiries_.size();
  if (entry.pinned) {
    --pinned_entries_;
    pinned_bytes_ -= entry.bytes;
  }
  policy_->Erase(hash.high);
}

absl::StatusOr<Summary> KvTier::ReadSummary(const KvKeyHash& hash) const {
  ASSIGN_OR_RETURN(const std::string record, context_.store->Get(Table::kKvOwners, SummaryKey(hash)));
  return DecodeSummary(record, "kv summary");
}

void KvTier::Refresh(absl::string_view entry_key) {
  const KvKeyHash hash = HashOf(entry_key);
  const auto summary = ReadSummary(hash);
  absl::MutexLock lock(&mu_);
  if (absl::IsNotFound(summary.status()) || absl::IsDataLoss(summary.status())) {
    if (const auto gone = directory_.Erase(hash)) Unaccount(hash, *gone);
    return;
  }
  if (!summary.ok()) return;  // the device failed: what was known is as good as anything
  const DirectoryEntry entry = EntryOf(*summary);
  const auto before = directory_.Put(hash, entry);
  if (before == entry) return;
  if (before.has_value()) Unaccount(hash, *before);
  Account(hash, entry);
}

void KvTier::Fill(const KvKeyHash& hash, const Summary& summary) {
  const DirectoryEntry entry = EntryOf(summary);
  absl::MutexLock lock(&mu_);
  if (directory_.Fill(hash, entry)) Account(hash, entry);
}

void KvTier::EndFill(const absl::Status& status) {
  if (status.ok()) directory_.SetFilled();
  absl::MutexLock lock(&mu_);
  fill_status_ = status;
  fill_ended_ = true;
}

bool KvTier::Admit(absl::string_view entry_key, const Summary& newcomer) {
  absl::MutexLock lock(&mu_);
  return policy_->Admit(ObjectOf(HashOf(entry_key), EntryOf(newcomer)));
}

std::vector<KvLookup> KvTier::LookupAll(absl::string_view tenant, absl::Span<const KvKeyHash> keys) const {
  const std::optional<uint32_t> number = tenants_.Find(tenant);
  const int64_t now_ms = NowMs();
  std::vector<KvLookup> answers(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) answers[i] = Lookup(number, tenant, keys[i], now_ms);
  Count(tenant, answers);
  return answers;
}

KvLookup KvTier::Lookup(const std::optional<uint32_t>& tenant, absl::string_view name, const KvKeyHash& hash,
                        int64_t now_ms) const {
  KvLookup answer;
  const auto entry = directory_.Find(hash);
  if (entry.has_value()) {
    answer.hit = entry->tenant == tenant && (entry->expires_ms == 0 || entry->expires_ms > now_ms);
    if (!answer.hit) return answer;
    answer.bytes = entry->bytes;
    answer.tokens = entry->tokens;
    if (entry->rotated) answer.rotated_from = entry->rotated_from;
    return answer;
  }
  if (directory_.filled()) return answer;
  const auto summary = ReadSummary(hash);
  if (!summary.ok() || (summary->expires_ms != 0 && summary->expires_ms <= now_ms)) return answer;
  const auto parts = ParseEntryKey(summary->entry_key);
  answer.hit = parts.ok() && parts->tenant == name;
  if (!answer.hit) return answer;
  answer.bytes = summary->bytes;
  answer.tokens = summary->tokens;
  answer.rotated_from = summary->rotated_from;
  return answer;
}

bool KvTier::Expired(const KvKeyHash& hash) const {
  const auto entry = directory_.Find(hash);
  if (entry.has_value()) return entry->expires_ms != 0 && entry->expires_ms <= NowMs();
  if (directory_.filled()) return false;
  const auto summary = ReadSummary(hash);
  return summary.ok() && summary->expires_ms != 0 && summary->expires_ms <= NowMs();
}

absl::Status KvTier::CheckNotExpired(absl::string_view entry_key) const {
  if (!Expired(HashOf(entry_key))) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " has expired"));
}

void KvTier::Count(absl::string_view tenant, absl::Span<const KvLookup> answers) const {
  if (answers.empty()) return;
  const auto hits = static_cast<uint64_t>(
      std::count_if(answers.begin(), answers.end(), [](const KvLookup& answer) { return answer.hit; }));
  // A tenant that holds nothing is not made known by being asked for.
  const auto number = tenants_.Find(tenant);
  if (!number.has_value()) return;
  tenants_[*number].hits += hits;
  tenants_[*number].misses += answers.size() - hits;
}

void KvTier::Served(absl::string_view entry_key, bool first, double share, bool from_memory) {
  const KvKeyHash hash = HashOf(entry_key);
  const auto entry = directory_.Find(hash);
  if (!entry.has_value()) return;
  KvTenant& tenant = tenants_[entry->tenant];
  tenant.saved_seconds.fetch_add(entry->saved_seconds * share);
  if (!first) return;
  ++tenant.reads;
  ++disk_hits_;
  if (from_memory) ++memory_hits_;
  absl::MutexLock lock(&mu_);
  policy_->Touch(hash.high);
}

absl::Status KvTier::Change(absl::string_view entry_key, absl::FunctionRef<void(Summary*)> change) {
  const KvKeyHash hash = HashOf(entry_key);
  const KeyLocks::Held held = context_.entry_locks.Acquire({std::string(entry_key)});
  auto summary = ReadSummary(hash);
  if (absl::IsNotFound(summary.status())) {
    return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " is not there"));
  }
  RETURN_IF_ERROR(summary.status());
  change(&*summary);
  storage::WriteBatch batch;
  batch.Put(Table::kKvOwners, SummaryKey(hash), EncodeSummary(*summary));
  const auto written = context_.store->Write(std::move(batch));
  Refresh(entry_key);
  return written.status();
}

absl::Status KvTier::Pin(absl::string_view entry_key, bool pinned) {
  return Change(entry_key, [pinned](Summary* summary) { summary->pinned = pinned; });
}

absl::Status KvTier::SetExpiry(absl::string_view entry_key, int64_t expires_ms) {
  return Change(entry_key, [expires_ms](Summary* summary) { summary->expires_ms = expires_ms; });
}

KvStats KvTier::Stats() const {
  KvStats stats;
  for (const KvTenant* tenant : tenants_.All()) {
    KvTenantStats of{tenant->name,        tenant->quota_bytes, tenant->entries,   tenant->bytes, tenant->hits,
                     tenant->misses,      tenant->reads,       tenant->evictions, tenant->saved_seconds};
    stats.hits += of.hits;
    stats.misses += of.misses;
    stats.reads += of.reads;
    stats.saved_seconds += of.saved_seconds;
    stats.tenants.push_back(std::move(of));
  }
  std::sort(stats.tenants.begin(), stats.tenants.end(),
            [](const KvTenantStats& a, const KvTenantStats& b) { return a.tenant < b.tenant; });
  KvTierStats disk;
  disk.name = "disk";
  disk.entries = stats.directory_entries = directory_.size();
  disk.bytes = bytes_;
  disk.budget_bytes = budget_bytes_;
  disk.evictions = evictions_;
  disk.expirations = expirations_;
  disk.demotions = demotions_;
  disk.hits = disk_hits_;
  stats.directory_filled = directory_.filled();
  stats.directory_bytes = directory_.MemoryBytes();
  stats.policy = std::string(kPolicy);
  {
    absl::MutexLock lock(&mu_);
    disk.pinned_entries = pinned_entries_;
    disk.pinned_bytes = pinned_bytes_;
  }
  stats.tiers.push_back(std::move(disk));
  if (context_.pool != nullptr) stats.tiers.push_back(MemoryStats());
  return stats;
}

KvTierStats KvTier::MemoryStats() const {
  const KvPoolStats pool = context_.pool->Stats();
  KvTierStats memory;
  memory.name = "memory";
  memory.entries = pool.entries;
  memory.bytes = pool.entry_bytes;
  memory.budget_bytes = pool.capacity_bytes;
  memory.evictions = pool.evictions;
  memory.hits = memory_hits_;
  return memory;
}

}  // namespace larder::kv
