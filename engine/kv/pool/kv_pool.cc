#include "engine/kv/pool/kv_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_read.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint64_t kLeastPoolBytes = 2 * kHugePage;
constexpr uint64_t kLeastSegmentBytes = 2 * kHugePage;
constexpr uint64_t kSegmentsOfPool = 8;  // a segment grows to the pool's bytes by this
constexpr size_t kMaxLeases = 4'096;     // of one client
constexpr char kPolicy[] = "larder";
constexpr uint64_t kTypicalEntryBytes = 1 << 20;  // sizes the policy's sketch
constexpr int kPlaceAttempts = 16;       // others may take the room that was made

uint64_t RoundToHuge(uint64_t bytes) { return (bytes + kHugePage - 1) / kHugePage * kHugePage; }

// The smallest segment that an entry so long fits into.
uint64_t LeastSegment(uint64_t length) {
  uint64_t bytes = RoundToHuge(length);
  while (bytes - FirstEntryOffset(SlotsFor(bytes)) < length) bytes += kHugePage;
  return bytes;
}

uint64_t TokenKey(absl::string_view tenant, absl::string_view profile_id, absl::Span<const int32_t> tokens) {
  return absl::HashOf(tenant, profile_id, tokens);
}

absl::Status NoRoom(absl::string_view entry_key, uint64_t length, uint64_t capacity) {
  return absl::ResourceExhaustedError(absl::StrCat(EntryName(entry_key), ": no room for ", length,
                                                   " bytes in a pool of ", capacity,
                                                   ": it is too large, or all is leased"));
}

absl::Status NotHere(absl::string_view entry_key) {
  return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " is not in shared memory"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<KvPool>> KvPool::Create(KvPoolOptions options) {
  if (options.bytes < kLeastPoolBytes || options.bytes > kMaxSegmentBytes) {
    return absl::InvalidArgumentError(absl::StrCat("kv pool: found ", options.bytes, " bytes, expected ",
                                                   kLeastPoolBytes, " to ", kMaxSegmentBytes));
  }
  if (options.lease <= absl::ZeroDuration()) return absl::InvalidArgumentError("kv pool: expected a lease above 0");
  if (!options.clock) {
    options.clock = [] { return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); };
  }
  if (!options.policy) {
    const uint64_t objects = options.bytes / kTypicalEntryBytes + 64;
    RETURN_IF_ERROR(MakePolicy(kPolicy, objects).status());
    options.policy = [objects] { return *MakePolicy(kPolicy, objects); };
  }
  return std::shared_ptr<KvPool>(new KvPool(std::move(options)));
}

KvPool::~KvPool() = default;

TenantArena* KvPool::ArenaOf(const std::string& tenant) {
  std::unique_ptr<TenantArena>& arena = arenas_[tenant];
  if (arena == nullptr) arena = std::make_unique<TenantArena>(options_.policy());
  return arena.get();
}

absl::StatusOr<PoolFill> KvPool::Reserve(absl::string_view entry_key, const EntryHeader& header,
                                         absl::Span<const uint64_t> lengths, double saved_seconds) {
  const uint64_t length = EntryBytes(lengths);
  if (lengths.empty() || lengths.size() % 2 != 0 || lengths.size() > kMaxPayloads) {
    return absl::InvalidArgumentError(absl::StrCat("kv pool: found ", lengths.size(), " payloads, expected K and V of 1 to ",
                                                   kMaxPayloads / 2, " layers"));
  }
  auto entry = std::make_unique<PoolEntry>();
  entry->entry_key = std::string(entry_key);
  entry->header = header;
  entry->layers = static_cast<uint32_t>(lengths.size() / 2);
  if (header.variant == KvVariantKind::kNone) {
    ASSIGN_OR_RETURN(entry->tokens, DecodeTokens(header.tokens, header.token_count));
    entry->token_key = TokenKey(header.tenant, header.profile_id, entry->tokens);
  }
  entry->saved_seconds = saved_seconds;
  entry->pins = 1;
  PoolEntry* const raw = entry.get();
  for (int attempt = 0; attempt < kPlaceAttempts; ++attempt) {
    Garbage garbage;
    uint64_t bytes = 0, id = 0;
    {
      absl::MutexLock lock(&mu_);
      ExpireLocked();
      ASSIGN_OR_RETURN(bytes, FindRoom(raw, length, &garbage));
      if (bytes == 0) {
        entries_.emplace(raw, std::move(entry));
        raw->place.generation = ++last_generation_;
        break;
      }
      id = ++last_segment_;
    }
    auto segment = Segment::Create(id, bytes);  // milliseconds: nobody waits for it
    absl::MutexLock lock(&mu_);
    if (!segment.ok()) {
      charged_bytes_ -= bytes;
      return segment.status();
    }
    ArenaOf(header.tenant)->AddSegment(*std::move(segment));
  }
  if (raw->home == nullptr) return NoRoom(entry_key, length, options_.bytes);
  raw->home->segment->WriteTable(raw->place, lengths);
  return PoolFill(this, raw);
}

// Places the entry and returns 0, or returns the size of the segment to add for it, already charged.
absl::StatusOr<uint64_t> KvPool::FindRoom(PoolEntry* entry, uint64_t length, Garbage* garbage) {
  const uint64_t least = LeastSegment(length);
  TenantArena* const arena = ArenaOf(entry->header.tenant);
  for (;;) {
    if (arena->Place(entry, length)) return 0;
    const uint64_t room = options_.bytes - charged_bytes_;
    if (room >= least) {
      const uint64_t most = std::max(kLeastSegmentBytes, options_.bytes / kSegmentsOfPool);
      const uint64_t wanted = std::max(least, RoundToHuge(std::clamp(arena->bytes(), kLeastSegmentBytes, most)));
      const uint64_t bytes = std::min(wanted, room / kHugePage * kHugePage);
      charged_bytes_ += bytes;
      return bytes;
    }
    // A tenant below its share takes from those above theirs; the others give up what is their own.
    const bool may_grow = arena->bytes() + least <= options_.bytes / arenas_.size() || arena->empty();
    if (may_grow && RetireFor(arena, /*may_be_own=*/false, garbage)) continue;
    if (arena->Fits(length) && EvictFrom(arena)) continue;
    if (!arena->Fits(length) && RetireFor(arena, /*may_be_own=*/true, garbage)) continue;
    if (arena->empty()) arenas_.erase(entry->header.tenant);
    return NoRoom(entry->entry_key, length, options_.bytes);
  }
}

bool KvPool::EvictFrom(TenantArena* arena) {
  PoolEntry* const victim = arena->Victim();
  if (victim == nullptr) return false;
  Evict(victim);
  return true;
}

// Gives back a segment of the tenant that has most: another one that has more than its share, or, where it
// may be the asker's own, whoever it is.
bool KvPool::RetireFor(const TenantArena* asker, bool may_be_own, Garbage* garbage) {
  const uint64_t share = may_be_own ? 0 : options_.bytes / arenas_.size();
  auto richest = arenas_.end();
  for (auto it = arenas_.begin(); it != arenas_.end(); ++it) {
    TenantArena& arena = *it->second;
    if ((&arena == asker && !may_be_own) || arena.bytes() <= share || arena.Idle() == nullptr) continue;
    if (richest == arenas_.end() || arena.bytes() > richest->second->bytes()) richest = it;
  }
  if (richest == arenas_.end()) return false;
  TenantArena* const arena = richest->second.get();
  PoolHome* const home = arena->Idle();
  const std::vector<PoolEntry*> entries(home->entries.begin(), home->entries.end());
  for (PoolEntry* const entry : entries) Evict(entry);
  std::shared_ptr<Segment> segment = arena->Detach(home);
  segment->Retire();
  charged_bytes_ -= segment->bytes();
  garbage->push_back(std::move(segment));
  if (arena->empty() && arena != asker) arenas_.erase(richest);
  return true;
}

void KvPool::Evict(PoolEntry* entry) {
  ++counts_.evictions;
  Hide(entry, /*evicted=*/true);
}

// Readers find it no more; its memory is free once nobody holds it.
void KvPool::Hide(PoolEntry* entry, bool evicted) {
  index_.erase(entry->entry_key);
  const auto by_tokens = by_tokens_.find(entry->token_key);
  if (by_tokens != by_tokens_.end() && by_tokens->second == entry) by_tokens_.erase(by_tokens);
  ArenaOf(entry->header.tenant)->Unpublished(entry, evicted);
  ++entry->pins;
  Unpin(entry);
}

void KvPool::Unpin(PoolEntry* entry) {
  if (--entry->pins > 0 || entry->published) return;
  ArenaOf(entry->header.tenant)->Remove(entry);
  entries_.erase(entry);
}

void KvPool::Publish(PoolEntry* entry) {
  const EntryKeyParts parts = *ParseEntryKey(entry->entry_key);
  absl::MutexLock lock(&mu_);
  if (index_.emplace(entry->entry_key, entry).second) {
    entry->home->segment->Publish(entry->place, parts.token_hash);
    ArenaOf(entry->header.tenant)->Published(entry);
    if (!entry->tokens.empty()) by_tokens_.emplace(entry->token_key, entry);
    ++counts_.insertions;
  }
  Unpin(entry);
}

void KvPool::Discard(PoolEntry* entry) {
  absl::MutexLock lock(&mu_);
  Unpin(entry);
}

bool KvPool::Contains(absl::string_view entry_key) const {
  absl::MutexLock lock(&mu_);
  return index_.contains(entry_key);
}

std::vector<PoolHit> KvPool::Lookup(absl::Span<const std::string> entry_keys) const {
  std::vector<PoolHit> hits(entry_keys.size());
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < hits.size(); ++i) {
    const auto it = index_.find(entry_keys[i]);
    if (it != index_.end()) hits[i] = {it->second->header.bytes, it->second->header.token_count};
  }
  return hits;
}

std::optional<KvLookup> KvPool::Find(absl::string_view tenant, absl::string_view profile_id,
                                     absl::Span<const int32_t> tokens) const {
  const uint64_t token_key = TokenKey(tenant, profile_id, tokens);
  absl::MutexLock lock(&mu_);
  const auto it = by_tokens_.find(token_key);
  if (it == by_tokens_.end()) return std::nullopt;
  const PoolEntry& entry = *it->second;
  const bool same = entry.tokens == tokens && entry.header.tenant == tenant && entry.header.profile_id == profile_id;
  if (!same) return std::nullopt;  // two subjects of one key: the other is found by its SHA-256
  return KvLookup{.hit = true,
                  .bytes = entry.header.bytes,
                  .tokens = entry.header.token_count,
                  .rotated_from = entry.header.rotated_from};
}

absl::StatusOr<PoolGrant> KvPool::Acquire(ClientId client, absl::string_view entry_key,
                                          const EntryHeader& expected) {
  absl::MutexLock lock(&mu_);
  ExpireLocked();
  const auto it = index_.find(entry_key);
  if (it == index_.end() || !Mismatch(it->second->header, expected).empty()) {
    ++counts_.misses;
    return NotHere(entry_key);
  }
  PoolEntry* const entry = it->second;
  const bool bounded = client != kThisProcess;
  if (bounded && (leases_.CountOf(client) >= kMaxLeases ||
                  leases_.BytesOf(client) + entry->place.length > options_.bytes / 2)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        EntryName(entry_key), ": this client holds ", leases_.CountOf(client), " leases of ",
        leases_.BytesOf(client), " bytes, expected at most ", kMaxLeases, " and half of the pool's ", options_.bytes));
  }
  const absl::Time deadline = bounded ? options_.clock() + options_.lease : absl::InfiniteFuture();
  ++entry->pins;
  ++counts_.hits;
  ArenaOf(entry->header.tenant)->Touch(entry);
  PoolGrant grant{.lease = leases_.Add(client, entry, entry->place.length, deadline),
                  .segment = entry->home->segment,
                  .place = entry->place,
                  .codec = entry->header.codec,
                  .tokens = entry->header.token_count,
                  .layers = entry->layers,
                  .rotated_from = entry->header.rotated_from};
  return grant;
}

absl::Status KvPool::Renew(ClientId client, LeaseId lease) {
  absl::MutexLock lock(&mu_);
  ExpireLocked();
  return leases_.Renew(client, lease, options_.clock() + options_.lease);
}

absl::Status KvPool::Release(ClientId client, LeaseId lease) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(PoolEntry* const entry, leases_.Remove(client, lease));
  Unpin(entry);
  return absl::OkStatus();
}

ClientId KvPool::NewClient() {
  absl::MutexLock lock(&mu_);
  return ++last_client_;
}

void KvPool::ReleaseAll(ClientId client) {
  absl::MutexLock lock(&mu_);
  for (PoolEntry* const entry : leases_.RemoveClient(client)) Unpin(entry);
}

void KvPool::Drop(absl::string_view entry_key) {
  absl::MutexLock lock(&mu_);
  const auto it = index_.find(entry_key);
  if (it != index_.end()) Hide(it->second, /*evicted=*/false);
}

size_t KvPool::ExpireLeases() {
  absl::MutexLock lock(&mu_);
  return ExpireLocked();
}

size_t KvPool::ExpireLocked() {
  const std::vector<PoolEntry*> entries = leases_.RemoveExpired(options_.clock());
  for (PoolEntry* const entry : entries) Unpin(entry);
  return entries.size();
}

KvPoolStats KvPool::Stats() const {
  absl::MutexLock lock(&mu_);
  KvPoolStats stats = counts_;
  stats.capacity_bytes = options_.bytes;
  stats.segment_bytes = charged_bytes_;
  stats.entries = index_.size();
  stats.leases = leases_.size();
  for (const auto& [tenant, arena] : arenas_) stats.huge_page_bytes += arena->huge_bytes();
  for (const auto& [raw, entry] : entries_) stats.entry_bytes += entry->place.length;
  return stats;
}

PoolFill::~PoolFill() {
  if (entry_ != nullptr) pool_->Discard(entry_);
}

void PoolFill::Write(uint32_t index, absl::string_view payload) {
  entry_->home->segment->WritePayload(entry_->place, index, payload);
}

void PoolFill::Publish() && { pool_->Publish(std::exchange(entry_, nullptr)); }

}  // namespace larder::kv
