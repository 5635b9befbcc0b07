#include "rpc/kv_local_session.h"

#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "proto/convert.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr size_t kMaxStatusText = 1'024;  // so that a reply of many refusals fits its packet

void SetStatus(const absl::Status& status, v1::LocalStatus* message) {
  message->set_code(static_cast<int>(status.code()));
  message->set_message(std::string(status.message().substr(0, kMaxStatusText)));
}

absl::Status CheckCount(absl::string_view what, int64_t found, int64_t most) {
  if (found <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv socket: found ", found, " ", what, ", expected at most ", most));
}

absl::StatusOr<std::vector<int32_t>> TokensOf(const std::string& bytes) {
  if (bytes.size() % sizeof(int32_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv socket: tokens of ", bytes.size(), " bytes, expected a multiple of 4"));
  }
  std::vector<int32_t> tokens(bytes.size() / sizeof(int32_t));
  std::memcpy(tokens.data(), bytes.data(), bytes.size());
  return tokens;
}

absl::StatusOr<KvKey> KeyOf(const std::string& tenant, const std::string& profile_id,
                            const v1::LocalAcquire::Key& message) {
  KvKey key;
  key.tenant = tenant;
  key.profile_id = profile_id;
  ASSIGN_OR_RETURN(key.tokens, TokensOf(message.tokens()));
  if (message.variant_kind() > static_cast<uint32_t>(KvVariantKind::kSourceSet)) {
    return absl::InvalidArgumentError(absl::StrCat("kv socket: variant ", message.variant_kind(), ", expected 0 to 3"));
  }
  key.variant.kind = static_cast<KvVariantKind>(message.variant_kind());
  key.variant.context.assign(message.context().begin(), message.context().end());
  return key;
}

void FillGrant(const kv::PoolGrant& from, v1::LocalAcquireReply::Grant* grant) {
  grant->set_lease(from.lease);
  grant->set_segment(from.segment->id());
  grant->set_slot(from.place.slot);
  grant->set_generation(from.place.generation);
  grant->set_offset(from.place.offset);
  grant->set_length(from.place.length);
  grant->set_codec(from.codec);
  grant->set_tokens(from.tokens);
  grant->set_layers(from.layers);
  if (from.rotated_from.has_value()) grant->set_rotated_from(*from.rotated_from);
}

}  // namespace

KvLocalSession::KvLocalSession(KvCacheImpl* kv) : kv_(kv), pool_(kv->pool()), client_(pool_->NewClient()) {}
KvLocalSession::~KvLocalSession() { pool_->ReleaseAll(client_); }

bool KvLocalSession::Serve(absl::string_view packet, v1::LocalReply* reply, Segments* segments) {
  reply->Clear();
  segments->clear();
  absl::Status status;
  bool sound = true;
  try {
    v1::LocalRequest request;
    sound = request.ParseFromArray(packet.data(), static_cast<int>(packet.size())) &&
            request.call_case() != v1::LocalRequest::CALL_NOT_SET;
    status = sound ? Dispatch(request, reply, segments)
                   : absl::InvalidArgumentError(
                         absl::StrCat("kv socket: a packet of ", packet.size(), " bytes that is no LocalRequest"));
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError("kv socket: there is no memory for this call");
  }
  if (status.ok()) return sound;
  reply->clear_reply();
  segments->clear();
  SetStatus(status, reply->mutable_status());
  return sound;
}

absl::Status KvLocalSession::Dispatch(const v1::LocalRequest& request, v1::LocalReply* reply, Segments* segments) {
  if (request.has_hello()) return Hello(request.hello(), reply->mutable_hello());
  if (!greeted_) return absl::FailedPreconditionError("kv socket: expected Hello first");
  switch (request.call_case()) {
    case v1::LocalRequest::kLookup:
      return Lookup(request.lookup(), reply->mutable_lookup());
    case v1::LocalRequest::kAcquire:
      return Acquire(request.acquire(), reply->mutable_acquire(), segments);
    case v1::LocalRequest::kRenew:
      return Renew(request.renew(), reply->mutable_renew());
    case v1::LocalRequest::kRelease:
      return Release(request.release(), reply->mutable_release());
    case v1::LocalRequest::kStats:
      Stats(reply->mutable_stats());
      return absl::OkStatus();
    case v1::LocalRequest::kGetProfile: {
      ASSIGN_OR_RETURN(const KvProfile profile, kv_->GetProfile(request.get_profile().profile_id()));
      return ToProto(profile, reply->mutable_get_profile()->mutable_profile());
    }
    default:
      return absl::UnimplementedError("kv socket: unknown call");
  }
}

absl::Status KvLocalSession::Hello(const v1::LocalHello& request, v1::LocalHelloReply* reply) {
  if (greeted_) return absl::FailedPreconditionError("kv socket: Hello stands twice; a connection has one tenant");
  if (request.version() != kLocalVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv socket: version ", request.version(), ", expected ", kLocalVersion));
  }
  RETURN_IF_ERROR(kv::ValidateTenant(request.tenant()));
  tenant_ = request.tenant();
  greeted_ = true;
  reply->set_lease_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(pool_->lease())));
  reply->set_max_keys(kMaxLookupKeys);
  return absl::OkStatus();
}

absl::Status KvLocalSession::Lookup(const v1::LocalLookup& request, v1::LocalLookupReply* reply) {
  const int count = request.token_counts_size();
  RETURN_IF_ERROR(CheckCount("keys", count, kMaxLookupKeys));
  const absl::string_view hashes = request.token_hashes();
  if (hashes.size() != static_cast<size_t>(count) * kv::kHashBytes) {
    return absl::InvalidArgumentError(absl::StrCat("kv socket: token hashes of ", hashes.size(), " bytes, expected ",
                                                   static_cast<size_t>(count) * kv::kHashBytes, " for ", count,
                                                   " keys"));
  }
  std::vector<std::string> keys;
  keys.reserve(count);
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(std::string key, kv::EntryKeyOfHash(tenant_, request.profile_id(),
                                                         hashes.substr(i * kv::kHashBytes, kv::kHashBytes)));
    keys.push_back(std::move(key));
  }
  const std::vector<kv::PoolHit> hits = pool_->Lookup(keys);
  reply->mutable_bytes()->Reserve(count);
  for (int i = 0; i < count; ++i) {
    reply->add_bytes(hits[i].tokens == request.token_counts(i) ? hits[i].bytes : 0);
  }
  return absl::OkStatus();
}

absl::Status KvLocalSession::Acquire(const v1::LocalAcquire& request, v1::LocalAcquireReply* reply,
                                     Segments* segments) {
  RETURN_IF_ERROR(CheckCount("keys", request.keys_size(), kMaxAcquireKeys));
  for (const v1::LocalAcquire::Key& key : request.keys()) {
    v1::LocalAcquireReply::Grant* const grant = reply->add_grants();
    const absl::Status status = AcquireOne(request.profile_id(), key, grant, reply, segments);
    if (!status.ok()) SetStatus(status, grant->mutable_status());
  }
  return absl::OkStatus();
}

absl::Status KvLocalSession::AcquireOne(const std::string& profile_id, const v1::LocalAcquire::Key& message,
                                        v1::LocalAcquireReply::Grant* grant, v1::LocalAcquireReply* reply,
                                        Segments* segments) {
  ASSIGN_OR_RETURN(const KvKey key, KeyOf(tenant_, profile_id, message));
  ASSIGN_OR_RETURN(const kv::PoolGrant granted, kv_->AcquireGrant(client_, key));
  FillGrant(granted, grant);
  if (!passed_.insert(granted.segment->id()).second) return absl::OkStatus();
  v1::LocalAcquireReply::Segment* const segment = reply->add_segments();
  segment->set_id(granted.segment->id());
  segment->set_bytes(granted.segment->bytes());
  segments->push_back(granted.segment);
  return absl::OkStatus();
}

absl::Status KvLocalSession::Renew(const v1::LocalRenew& request, v1::LocalRenewReply* reply) {
  RETURN_IF_ERROR(CheckCount("leases", request.leases_size(), kMaxLeasesOfCall / 8));
  for (const uint64_t lease : request.leases()) SetStatus(pool_->Renew(client_, lease), reply->add_statuses());
  return absl::OkStatus();
}

absl::Status KvLocalSession::Release(const v1::LocalRelease& request, v1::LocalReleaseReply* reply) {
  RETURN_IF_ERROR(CheckCount("leases", request.leases_size(), kMaxLeasesOfCall));
  uint32_t released = 0;
  for (const uint64_t lease : request.leases()) released += pool_->Release(client_, lease).ok() ? 1 : 0;
  reply->set_released(released);
  return absl::OkStatus();
}

void KvLocalSession::Stats(v1::LocalStatsReply* reply) const {
  const kv::KvPoolStats stats = pool_->Stats();
  reply->set_capacity_bytes(stats.capacity_bytes);
  reply->set_segment_bytes(stats.segment_bytes);
  reply->set_entry_bytes(stats.entry_bytes);
  reply->set_entries(stats.entries);
  reply->set_leases(stats.leases);
  reply->set_hits(stats.hits);
  reply->set_misses(stats.misses);
  reply->set_insertions(stats.insertions);
  reply->set_evictions(stats.evictions);
  reply->set_huge_page_bytes(stats.huge_page_bytes);
}

}  // namespace larder
