#include "client/local_kv_lease.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

absl::Status Ended(uint64_t id, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("kv lease ", id, " has ended: ", why));
}

absl::Status NothingHeld() { return absl::FailedPreconditionError("kv lease: it was released"); }

}  // namespace

absl::StatusOr<LocalKvLease> LocalKvLease::State::Take(std::shared_ptr<LocalKvConnection> connection,
                                                       const v1::LocalAcquireReply::Grant& grant,
                                                       const std::string& profile_id, absl::Time granted) {
  auto state = std::make_unique<State>();
  state->id = grant.lease();
  state->connection = std::move(connection);  // from here on it is released whatever happens
  state->deadline = granted + state->connection->lease();
  state->profile_id = profile_id;
  state->codec = grant.codec();
  state->tokens = grant.tokens();
  state->layers = grant.layers();
  if (grant.has_rotated_from()) state->rotated_from = grant.rotated_from();
  state->place = {grant.slot(), grant.generation(), grant.offset(), grant.length()};
  ASSIGN_OR_RETURN(state->segment, state->connection->Segment(grant.segment()));
  if (grant.layers() > kv::kMaxPayloads / 2) {
    return absl::InternalError(absl::StrCat("kv socket: a grant of ", grant.layers(), " layers"));
  }
  ASSIGN_OR_RETURN(state->payloads, state->segment->Payloads(state->place, 2 * grant.layers()));
  for (const absl::string_view payload : state->payloads) state->bytes += payload.size();
  return LocalKvLease(std::move(state));
}

LocalKvLease::State::~State() {
  v1::LocalRequest request;
  request.mutable_release()->add_leases(id);
  connection->Call(request).IgnoreError();  // a server that is gone holds nothing
}

absl::Status LocalKvLease::State::Renew() {
  v1::LocalRequest request;
  request.mutable_renew()->add_leases(id);
  const absl::Time asked = connection->Now();
  ASSIGN_OR_RETURN(const v1::LocalReply reply, connection->Call(request));
  if (reply.renew().statuses_size() != 1) return absl::InternalError("kv socket: Renew was answered by something else");
  RETURN_IF_ERROR(FromLocal(reply.renew().statuses(0)));
  deadline = asked + connection->lease();
  return absl::OkStatus();
}

absl::Status LocalKvLease::State::Use() {
  const absl::Time now = connection->Now();
  if (now >= deadline) {
    return Ended(id, absl::StrCat("not used for ", absl::FormatDuration(now - deadline + connection->lease())));
  }
  if (deadline - now < connection->lease() / 2) RETURN_IF_ERROR(Renew());
  return Check();
}

absl::Status LocalKvLease::State::Check() const {
  return segment->Holds(place) ? absl::OkStatus() : Ended(id, "its memory was used again");
}

LocalKvLease::LocalKvLease(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalKvLease::LocalKvLease(LocalKvLease&&) noexcept = default;
LocalKvLease& LocalKvLease::operator=(LocalKvLease&&) noexcept = default;
LocalKvLease::~LocalKvLease() = default;

uint32_t LocalKvLease::layers() const { return state_ == nullptr ? 0 : state_->layers; }
uint32_t LocalKvLease::tokens() const { return state_ == nullptr ? 0 : state_->tokens; }
uint64_t LocalKvLease::bytes() const { return state_ == nullptr ? 0 : state_->bytes; }
std::optional<uint32_t> LocalKvLease::rotated_from() const {
  return state_ == nullptr ? std::nullopt : state_->rotated_from;
}
const std::string& LocalKvLease::codec() const {
  static const std::string* const kNone = new std::string;
  return state_ == nullptr ? *kNone : state_->codec;
}

absl::StatusOr<KvLayerView> LocalKvLease::Layer(uint32_t layer) {
  if (state_ == nullptr) return NothingHeld();
  RETURN_IF_ERROR(state_->Use());
  if (layer >= state_->layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv lease ", state_->id, ": layer ", layer, ", expected 0 to ", state_->layers - 1));
  }
  return KvLayerView{state_->payloads[2 * layer], state_->payloads[2 * layer + 1]};
}

absl::Status LocalKvLease::Check() { return state_ == nullptr ? NothingHeld() : state_->Use(); }

absl::Status LocalKvLease::CopyTo(absl::Span<std::byte> out) {
  if (state_ == nullptr) return NothingHeld();
  if (out.size() != state_->bytes) {
    return absl::InvalidArgumentError(absl::StrCat("kv lease ", state_->id, ": a buffer of ", out.size(),
                                                   " bytes, expected ", state_->bytes));
  }
  RETURN_IF_ERROR(state_->Use());
  const std::vector<absl::string_view>& payloads = state_->payloads;
  std::byte* to = out.data();
  for (size_t i = 0; i < payloads.size();) {  // runs without padding between them go in one piece
    const char* const begin = payloads[i].data();
    const char* end = begin + payloads[i].size();
    for (++i; i < payloads.size() && payloads[i].data() == end; ++i) end += payloads[i].size();
    std::memcpy(to, begin, end - begin);
    to += end - begin;
  }
  return state_->Check();
}

absl::Status LocalKvLease::Decode(uint32_t layer, kv::KvSide side, const kv::KvSelection& selection,
                                  const kv::RopeTable* rotation, const kv::KvTarget& target) {
  ASSIGN_OR_RETURN(const KvLayerView view, Layer(layer));
  ASSIGN_OR_RETURN(const auto profile, state_->connection->Profile(state_->profile_id));
  const kv::KvTensorShape shape{state_->tokens, profile->kv_heads, profile->head_dim, profile->dtype};
  const bool key = side == kv::KvSide::kKey;
  const absl::Status status = kv::DecodeKv(state_->codec, side, shape, key ? view.k : view.v, selection,
                                           key ? rotation : nullptr, target);
  // Bytes that changed under the codec may look damaged: the lease says which it was.
  RETURN_IF_ERROR(state_->Check());
  return status;
}

absl::StatusOr<kv::RopeTable> LocalKvLease::RotationTo(uint32_t position) {
  if (state_ == nullptr) return NothingHeld();
  ASSIGN_OR_RETURN(const auto profile, state_->connection->Profile(state_->profile_id));
  ASSIGN_OR_RETURN(const kv::KvRope rope, kv::RopeOf(*profile));
  if (!state_->rotated_from.has_value()) return kv::RopeTable::At(rope, position, 0, state_->tokens);
  return kv::RopeTable::By(rope, int64_t{position} - int64_t{*state_->rotated_from});
}

absl::Status LocalKvLease::Renew() { return state_ == nullptr ? NothingHeld() : state_->Renew(); }
void LocalKvLease::Release() { state_ = nullptr; }

}  // namespace larder
