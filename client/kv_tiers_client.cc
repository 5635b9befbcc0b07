// KvClient: how long entries stay, and what there is.
#include "client/client_impl.h"
#include "proto/convert.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using TiersStub = v1::KvTiers::StubInterface;

}  // namespace

absl::Status KvClient::Pin(const KvKey& key, bool pinned) {
  v1::KvPinRequest request;
  ToProto(key, request.mutable_key());
  request.set_unpin(!pinned);
  v1::KvPinReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv_tiers, &TiersStub::Pin, request, &reply);
}

absl::Status KvClient::SetTtl(const KvKey& key, absl::Duration ttl) {
  v1::KvSetTtlRequest request;
  ToProto(key, request.mutable_key());
  if (ttl != absl::InfiniteDuration()) {
    // The server refuses 0; what is less than a millisecond is not "never".
    const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(ttl, absl::Milliseconds(1)));
    request.set_ttl_ms(ms > 0 ? static_cast<uint64_t>(ms) : 0);
  }
  v1::KvSetTtlReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv_tiers, &TiersStub::SetTtl, request, &reply);
}

absl::Status KvClient::SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes) {
  v1::KvSetQuotaRequest request;
  request.set_tenant(std::string(tenant));
  if (bytes.has_value()) request.set_bytes(*bytes);
  v1::KvSetQuotaReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv_tiers, &TiersStub::SetQuota, request, &reply);
}

absl::StatusOr<KvStats> KvClient::Stats() const {
  v1::KvStatsReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv_tiers, &TiersStub::Stats, v1::KvStatsRequest(), &reply));
  return FromProto(reply);
}

}  // namespace larder
