#include "larder/local_kv.h"

#include <openssl/sha.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/local_kv_connection.h"
#include "client/local_kv_lease.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr size_t kAcquireKeys = 128;             // of one call
constexpr size_t kAcquireBytes = 200 << 10;      // of its tokens
constexpr size_t kHashBytes = SHA256_DIGEST_LENGTH;

static_assert(std::endian::native == std::endian::little);

absl::string_view BytesOf(absl::Span<const int32_t> tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(int32_t)};
}

// What one key adds to a call.
size_t SizeOf(const KvKey& key) { return BytesOf(key.tokens).size() + 80 * key.variant.context.size() + 16; }

void AddKey(const KvKey& key, v1::LocalAcquire* call) {
  v1::LocalAcquire::Key* const message = call->add_keys();
  message->set_tokens(std::string(BytesOf(key.tokens)));
  message->set_variant_kind(static_cast<uint32_t>(key.variant.kind));
  for (const std::string& hash : key.variant.context) message->add_context(hash);
}

using Leases = std::vector<absl::StatusOr<LocalKvLease>>;

// One call for keys of one profile. Appends one answer a key.
void AcquireSome(const std::shared_ptr<LocalKvConnection>& connection, absl::Span<const KvKey> keys, Leases* leases) {
  v1::LocalRequest request;
  request.mutable_acquire()->set_profile_id(keys[0].profile_id);
  for (const KvKey& key : keys) AddKey(key, request.mutable_acquire());
  const absl::Time asked = connection->Now();
  auto reply = connection->Call(request);
  if (reply.ok() && reply->acquire().grants_size() != static_cast<int>(keys.size())) {
    reply = absl::InternalError("kv socket: Acquire was answered by something else");
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!reply.ok()) {
      leases->push_back(reply.status());
      continue;
    }
    const v1::LocalAcquireReply::Grant& grant = reply->acquire().grants(static_cast<int>(i));
    leases->push_back(grant.has_status()
                          ? absl::StatusOr<LocalKvLease>(FromLocal(grant.status()))
                          : LocalKvLease::State::Take(connection, grant, keys[i].profile_id, asked));
  }
}

// How many of the keys go into one call: of one profile, and no more than fit.
size_t CallLength(absl::Span<const KvKey> keys) {
  size_t count = 0, bytes = 0;
  while (count < std::min(keys.size(), kAcquireKeys) && keys[count].profile_id == keys[0].profile_id &&
         keys[count].tenant == keys[0].tenant) {
    bytes += SizeOf(keys[count]);
    if (count > 0 && bytes > kAcquireBytes) break;
    ++count;
  }
  return count;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalKv>> LocalKv::Connect(const LocalKvOptions& options) {
  ASSIGN_OR_RETURN(auto connection, LocalKvConnection::Open(options));
  return std::make_unique<LocalKv>(std::move(connection));
}

LocalKv::LocalKv(std::shared_ptr<LocalKvConnection> connection) : connection_(std::move(connection)) {}
LocalKv::~LocalKv() = default;

std::string LocalKv::HashOf(absl::Span<const int32_t> tokens) {
  const absl::string_view bytes = BytesOf(tokens);
  std::string digest(kHashBytes, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

absl::StatusOr<std::vector<KvLookup>> LocalKv::Lookup(absl::string_view profile_id,
                                                      absl::Span<const std::vector<int32_t>> chunks) {
  std::vector<Hash> hashes;
  hashes.reserve(chunks.size());
  for (const std::vector<int32_t>& tokens : chunks) {
    hashes.push_back({HashOf(tokens), static_cast<uint32_t>(tokens.size())});
  }
  return Lookup(profile_id, hashes);
}

absl::StatusOr<std::vector<KvLookup>> LocalKv::Lookup(absl::string_view profile_id, absl::Span<const Hash> hashes) {
  v1::LocalRequest request;
  v1::LocalLookup* const call = request.mutable_lookup();
  call->set_profile_id(std::string(profile_id));
  std::string* const bytes = call->mutable_token_hashes();
  bytes->reserve(hashes.size() * kHashBytes);
  for (const Hash& hash : hashes) {
    if (hash.sha256.size() != kHashBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("kv lookup: a hash of ", hash.sha256.size(), " bytes, expected ", kHashBytes));
    }
    bytes->append(hash.sha256);
    call->add_token_counts(hash.tokens);
  }
  ASSIGN_OR_RETURN(const v1::LocalReply reply, connection_->Call(request));
  if (reply.lookup().bytes_size() != static_cast<int>(hashes.size())) {
    return absl::InternalError("kv socket: Lookup was answered by something else");
  }
  std::vector<KvLookup> answers(hashes.size());
  for (size_t i = 0; i < hashes.size(); ++i) {
    const uint64_t found = reply.lookup().bytes(static_cast<int>(i));
    if (found > 0) answers[i] = {.hit = true, .bytes = found, .tokens = hashes[i].tokens};
  }
  return answers;
}

Leases LocalKv::Acquire(absl::string_view profile_id, absl::Span<const std::vector<int32_t>> chunks) {
  std::vector<KvKey> keys;
  keys.reserve(chunks.size());
  for (const std::vector<int32_t>& tokens : chunks) {
    keys.push_back({connection_->tenant(), std::string(profile_id), tokens});
  }
  return Acquire(keys);
}

Leases LocalKv::Acquire(absl::Span<const KvKey> keys) {
  Leases leases;
  leases.reserve(keys.size());
  while (leases.size() < keys.size()) {
    const absl::Span<const KvKey> rest = keys.subspan(leases.size());
    if (rest[0].tenant != connection_->tenant()) {
      leases.push_back(absl::InvalidArgumentError(absl::StrCat("kv acquire: tenant '", rest[0].tenant, "', expected '",
                                                               connection_->tenant(), "', the connection's")));
      continue;
    }
    AcquireSome(connection_, rest.subspan(0, CallLength(rest)), &leases);
  }
  return leases;
}

absl::StatusOr<KvProfile> LocalKv::GetProfile(absl::string_view profile_id) {
  ASSIGN_OR_RETURN(const auto profile, connection_->Profile(profile_id));
  return *profile;
}

absl::StatusOr<LocalKvStats> LocalKv::Stats() {
  v1::LocalRequest request;
  request.mutable_stats();
  ASSIGN_OR_RETURN(const v1::LocalReply reply, connection_->Call(request));
  const v1::LocalStatsReply& stats = reply.stats();
  return LocalKvStats{.capacity_bytes = stats.capacity_bytes(),
                      .segment_bytes = stats.segment_bytes(),
                      .huge_page_bytes = stats.huge_page_bytes(),
                      .entry_bytes = stats.entry_bytes(),
                      .entries = stats.entries(),
                      .leases = stats.leases(),
                      .hits = stats.hits(),
                      .misses = stats.misses(),
                      .insertions = stats.insertions(),
                      .evictions = stats.evictions()};
}

}  // namespace larder
