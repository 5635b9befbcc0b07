#include "engine/kv/kv_cache_impl.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_plan.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_relocate.h"
#include "engine/kv/kv_shared.h"
#include "engine/kv/kv_stream.h"
#include "engine/kv/kv_summary.h"
#include "storage/status_macros.h"

namespace larder {

KvCacheImpl::KvCacheImpl(storage::Store* store, storage::ExtentStore* extents,
                         std::function<absl::Time()> clock, ChunkResolver resolve,
                         std::shared_ptr<kv::KvPool> pool, const KvOptions& options)
    : context_(store, extents, std::move(clock), std::move(resolve), &tier_, std::move(pool)),
      tier_(&context_, options) {}

namespace {

// Codecs other than raw are known by what they come to: a commit counts that.
constexpr uint64_t kBestRatio = 8;

}  // namespace

absl::Status KvCacheImpl::CheckRoom(const KvPutRequest& request, const std::string& entry_key) {
  if (tier_.directory().Find(kv::HashOf(entry_key)).has_value()) return absl::OkStatus();  // Begin refuses it
  ASSIGN_OR_RETURN(const auto profile, context_.profiles.Get(request.key.profile_id));
  const uint64_t tokens = request.key.tokens.size();
  const uint64_t raw = 2 * profile->layers * profile->LayerBytes(tokens);
  const uint64_t bytes = profile->codec == "raw" ? raw : raw / kBestRatio;
  const double seconds = request.compute_seconds.value_or(kv::EstimateSeconds(tokens, profile->layers));
  const kv::Summary newcomer{entry_key, bytes, static_cast<uint32_t>(tokens), seconds};
  if (!tier_.Admit(entry_key, newcomer) && request.may_decline) {
    return absl::FailedPreconditionError(absl::StrCat(
        kv::EntryName(entry_key), " is not admitted: the tier is full, and it was not asked for before"));
  }
  return tier_.MakeRoom(request.key.tenant, bytes).status();
}

absl::Status KvCacheImpl::CheckOpen() const {
  return open_ ? absl::OkStatus() : absl::FailedPreconditionError("the KV cache is closed");
}

void KvCacheImpl::Close() {
  filler_.Stop();
  prefetcher_.Stop();
  absl::WriterMutexLock lock(&open_mu_);
  open_ = false;
  putter_.AbortAll();
}

absl::StatusOr<KvDropGuard> KvCacheImpl::DropChunks(uint32_t collection, absl::Span<const uint64_t> vids,
                                                    storage::WriteBatch* batch) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::DropChunks(&context_, collection, vids, batch);
}

absl::StatusOr<KvDropGuard> KvCacheImpl::DropCollection(uint32_t collection, storage::WriteBatch* batch) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::DropCollection(&context_, collection, batch);
}

absl::StatusOr<bool> KvCacheImpl::Relocate(const storage::ExtentOwner& owner,
                                           const storage::ExtentPointer& from,
                                           const storage::ExtentPointer& to, storage::WriteBatch* batch) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Relocate(&context_, owner, from, to, batch);
}

absl::StatusOr<uint64_t> KvCacheImpl::Verify(const storage::Snapshot* snapshot, const ChunkExists& exists,
                                             std::vector<std::string>* problems) const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Verify(context_, snapshot, exists, problems);
}

absl::StatusOr<uint64_t> KvCacheImpl::Sweep() {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return tier_.Sweep();
}

size_t KvCacheImpl::ExpireSessions() {
  absl::ReaderMutexLock lock(&open_mu_);
  return open_ ? putter_.ExpireIdle() : 0;
}

void KvCacheImpl::ExpireLeases() {
  if (context_.pool != nullptr) context_.pool->ExpireLeases();
}

absl::StatusOr<kv::PoolGrant> KvCacheImpl::AcquireGrant(kv::ClientId client, const KvKey& key) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::AcquireGrant(&context_, client, key);
}

std::vector<absl::StatusOr<KvView>> KvCacheImpl::Acquire(absl::Span<const KvKey> keys) {
  absl::ReaderMutexLock lock(&open_mu_);
  std::vector<absl::StatusOr<KvView>> views;
  views.reserve(keys.size());
  const absl::Status open = CheckOpen();
  for (const KvKey& key : keys) {
    views.push_back(open.ok() ? kv::AcquireView(&context_, key) : absl::StatusOr<KvView>(open));
  }
  return views;
}

absl::StatusOr<std::string> KvCacheImpl::RegisterProfile(const KvProfile& profile) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return context_.profiles.Register(profile);
}

absl::StatusOr<KvProfile> KvCacheImpl::GetProfile(absl::string_view profile_id) const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  ASSIGN_OR_RETURN(const auto profile, context_.profiles.Get(profile_id));
  return *profile;
}

absl::StatusOr<std::vector<std::string>> KvCacheImpl::ListProfiles() const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return context_.profiles.List();
}

absl::StatusOr<KvPutHandle> KvCacheImpl::PutBegin(const KvPutRequest& request) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  ASSIGN_OR_RETURN(const std::string entry_key, kv::EntryKey(request.key));
  RETURN_IF_ERROR(tier_.RemoveExpired(entry_key));
  RETURN_IF_ERROR(CheckRoom(request, entry_key));
  return putter_.Begin(request);
}

absl::Status KvCacheImpl::PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k,
                                   absl::string_view v) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return putter_.Layer(handle, layer, k, v);
}

absl::Status KvCacheImpl::PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return putter_.Sidecar(handle, kind, bytes);
}

absl::Status KvCacheImpl::PutCommit(KvPutHandle handle) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return putter_.Commit(handle);
}

absl::Status KvCacheImpl::PutAbort(KvPutHandle handle) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return putter_.Abort(handle);
}

absl::StatusOr<uint32_t> KvCacheImpl::AddOwners(const KvKey& key, absl::Span<const KvOwner> owners) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return putter_.AddOwners(key, owners);
}

absl::StatusOr<std::vector<KvLookup>> KvCacheImpl::Lookup(absl::Span<const KvKey> keys) const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Lookup(context_, keys);
}

absl::StatusOr<std::vector<KvLayer>> KvCacheImpl::Get(const KvKey& key, uint32_t first, uint32_t count) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Get(&context_, key, first, count);
}

absl::Status KvCacheImpl::Read(absl::Span<const KvReadRequest> requests, KvReadSink sink) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Read(&context_, requests, sink);
}

absl::StatusOr<std::string> KvCacheImpl::GetSidecar(const KvKey& key, KvSidecarKind kind) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::GetSidecar(&context_, key, kind);
}

absl::StatusOr<KvPlan> KvCacheImpl::Plan(const KvPlanRequest& request) const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Plan(context_, request);
}

absl::StatusOr<bool> KvCacheImpl::Delete(const KvKey& key) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return kv::Delete(&context_, key);
}

absl::StatusOr<KvKeyHash> KvCacheImpl::Hash(const KvKey& key) {
  ASSIGN_OR_RETURN(const std::string entry_key, kv::EntryKey(key));
  return kv::HashOf(entry_key);
}

absl::StatusOr<std::vector<KvLookup>> KvCacheImpl::Lookup(absl::string_view tenant,
                                                          absl::Span<const KvKeyHash> keys) const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  if (keys.size() > kv::kMaxKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv keys: found ", keys.size(), ", expected at most ", kv::kMaxKeys));
  }
  return tier_.LookupAll(tenant, keys);
}

absl::Status KvCacheImpl::Pin(const KvKey& key, bool pinned) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  ASSIGN_OR_RETURN(const std::string entry_key, kv::EntryKey(key));
  return tier_.Pin(entry_key, pinned);
}

absl::Status KvCacheImpl::SetTtl(const KvKey& key, absl::Duration ttl) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  if (ttl <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv ttl: found ", absl::FormatDuration(ttl), ", expected more than 0, or infinite"));
  }
  ASSIGN_OR_RETURN(const std::string entry_key, kv::EntryKey(key));
  const bool never = ttl == absl::InfiniteDuration();
  return tier_.SetExpiry(entry_key, never ? 0 : absl::ToUnixMillis(context_.clock() + ttl));
}

absl::Status KvCacheImpl::SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes) {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return tier_.tenants().SetQuota(tenant, bytes);
}

absl::StatusOr<KvStats> KvCacheImpl::Stats() const {
  absl::ReaderMutexLock lock(&open_mu_);
  RETURN_IF_ERROR(CheckOpen());
  return tier_.Stats();
}

}  // namespace larder
