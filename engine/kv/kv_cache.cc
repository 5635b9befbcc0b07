#include <utility>

#include "absl/strings/escaping.h"
#include "engine/kv/kv_cache_impl.h"
#include "engine/kv/kv_keys.h"
#include "larder/kv.h"

namespace larder {

std::string KvTokenHash(absl::Span<const int32_t> tokens) {
  return absl::BytesToHexString(kv::TokenHash(tokens));
}

KvCache::KvCache(std::unique_ptr<KvCacheImpl> impl) : impl_(std::move(impl)) {}
KvCache::~KvCache() = default;

absl::StatusOr<std::string> KvCache::RegisterProfile(const KvProfile& profile) {
  return impl_->RegisterProfile(profile);
}
absl::StatusOr<KvProfile> KvCache::GetProfile(absl::string_view profile_id) const {
  return impl_->GetProfile(profile_id);
}
absl::StatusOr<std::vector<std::string>> KvCache::ListProfiles() const { return impl_->ListProfiles(); }

absl::StatusOr<KvPutHandle> KvCache::PutBegin(const KvPutRequest& request) {
  return impl_->PutBegin(request);
}
absl::Status KvCache::PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v) {
  return impl_->PutLayer(handle, layer, k, v);
}
absl::Status KvCache::PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes) {
  return impl_->PutSidecar(handle, kind, bytes);
}
absl::Status KvCache::PutCommit(KvPutHandle handle) { return impl_->PutCommit(handle); }
absl::Status KvCache::PutAbort(KvPutHandle handle) { return impl_->PutAbort(handle); }

absl::StatusOr<uint32_t> KvCache::AddOwners(const KvKey& key, absl::Span<const KvOwner> owners) {
  return impl_->AddOwners(key, owners);
}

absl::StatusOr<std::vector<KvLookup>> KvCache::Lookup(absl::Span<const KvKey> keys) const {
  return impl_->Lookup(keys);
}
absl::StatusOr<std::vector<KvLayer>> KvCache::Get(const KvKey& key, uint32_t first, uint32_t count) const {
  return impl_->Get(key, first, count);
}
absl::Status KvCache::Read(absl::Span<const KvReadRequest> requests, KvReadSink sink) const {
  return impl_->Read(requests, sink);
}
absl::StatusOr<std::string> KvCache::GetSidecar(const KvKey& key, KvSidecarKind kind) const {
  return impl_->GetSidecar(key, kind);
}
std::vector<absl::StatusOr<KvView>> KvCache::Acquire(absl::Span<const KvKey> keys) const {
  return impl_->Acquire(keys);
}
absl::StatusOr<KvPlan> KvCache::Plan(const KvPlanRequest& request) const { return impl_->Plan(request); }
absl::StatusOr<bool> KvCache::Delete(const KvKey& key) { return impl_->Delete(key); }

absl::StatusOr<KvKeyHash> KvCache::Hash(const KvKey& key) { return KvCacheImpl::Hash(key); }
absl::StatusOr<std::vector<KvLookup>> KvCache::Lookup(absl::string_view tenant,
                                                      absl::Span<const KvKeyHash> keys) const {
  return impl_->Lookup(tenant, keys);
}
absl::Status KvCache::Pin(const KvKey& key, bool pinned) { return impl_->Pin(key, pinned); }
absl::Status KvCache::SetTtl(const KvKey& key, absl::Duration ttl) { return impl_->SetTtl(key, ttl); }
absl::Status KvCache::SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes) {
  return impl_->SetQuota(tenant, bytes);
}
absl::StatusOr<KvStats> KvCache::Stats() const { return impl_->Stats(); }

}  // namespace larder
