#include "client/local_kv_connection.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr int kLastCode = 16;  // UNAUTHENTICATED

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

absl::Status FromLocal(const v1::LocalStatus& status) {
  if (status.code() < 0 || status.code() > kLastCode) {
    return absl::InternalError(absl::StrCat("kv socket: a reply with status code ", status.code()));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.code()), status.message());
}

absl::StatusOr<std::shared_ptr<LocalKvConnection>> LocalKvConnection::Open(const LocalKvOptions& options) {
  if (options.deadline <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("LocalKvOptions.deadline must be positive");
  }
  ASSIGN_OR_RETURN(PacketFd socket, ConnectPackets(options.path));
  RETURN_IF_ERROR(PreparePackets(socket.get(), options.deadline, options.deadline));
  LocalKvOptions copy = options;
  if (!copy.clock) copy.clock = &SteadyNow;
  std::shared_ptr<LocalKvConnection> connection(new LocalKvConnection(std::move(copy), std::move(socket)));
  RETURN_IF_ERROR(connection->Greet());
  return connection;
}

absl::Status LocalKvConnection::Greet() {
  v1::LocalRequest request;
  request.mutable_hello()->set_version(1);
  request.mutable_hello()->set_tenant(options_.tenant);
  ASSIGN_OR_RETURN(const v1::LocalReply reply, Call(request));
  if (!reply.has_hello()) return absl::InternalError("kv socket: Hello was answered by something else");
  lease_ = absl::Milliseconds(reply.hello().lease_ms());
  return absl::OkStatus();
}

absl::StatusOr<v1::LocalReply> LocalKvConnection::Call(const v1::LocalRequest& request) {
  const std::string packet = request.SerializeAsString();
  if (packet.size() > kMaxPacketBytes) {
    return absl::InvalidArgumentError(absl::StrCat("kv socket: the call has ", packet.size(), " bytes, expected at most ",
                                                   kMaxPacketBytes, ": ask for fewer chunks at once"));
  }
  absl::MutexLock lock(&mu_);
  if (socket_.get() < 0) return absl::UnavailableError("kv socket: the connection has ended; connect anew");
  auto reply = Exchange(packet);
  if (!reply.ok()) {
    socket_ = PacketFd();
    return reply.status();
  }
  if (reply->has_status()) return FromLocal(reply->status());
  return reply;
}

absl::StatusOr<v1::LocalReply> LocalKvConnection::Exchange(const std::string& packet) {
  const absl::Status sent = SendPacket(socket_.get(), packet);
  std::vector<PacketFd> fds;
  auto received = ReceivePacket(socket_.get(), &buffer_, &fds);
  // A server that hung up may have said why: that lies behind the reset.
  if (absl::IsUnavailable(received.status())) received = ReceivePacket(socket_.get(), &buffer_, &fds);
  if (!received.ok()) return sent.ok() ? received.status() : sent;
  v1::LocalReply reply;
  if (!reply.ParseFromArray(received->data(), static_cast<int>(received->size()))) {
    return absl::InternalError(absl::StrCat("kv socket: a reply of ", received->size(), " bytes that is none"));
  }
  RETURN_IF_ERROR(Keep(reply.acquire(), std::move(fds)));
  return reply;
}

// Maps what came, and lets go of what the server keeps nothing in any more and no lease is on.
absl::Status LocalKvConnection::Keep(const v1::LocalAcquireReply& reply, std::vector<PacketFd> fds) {
  if (fds.size() != static_cast<size_t>(reply.segments_size())) {
    return absl::InternalError(absl::StrCat("kv socket: ", fds.size(), " descriptors came, expected ",
                                            reply.segments_size()));
  }
  absl::erase_if(segments_, [](const auto& segment) {
    return segment.second.use_count() == 1 && segment.second->retired();
  });
  for (size_t i = 0; i < fds.size(); ++i) {
    const v1::LocalAcquireReply::Segment& segment = reply.segments(static_cast<int>(i));
    ASSIGN_OR_RETURN(std::unique_ptr<kv::SegmentMap> map,
                     kv::SegmentMap::Map(fds[i].get(), segment.id(), segment.bytes()));
    segments_[segment.id()] = std::move(map);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const kv::SegmentMap>> LocalKvConnection::Segment(uint64_t id) {
  absl::MutexLock lock(&mu_);
  const auto it = segments_.find(id);
  if (it != segments_.end()) return it->second;
  return absl::FailedPreconditionError(absl::StrCat("kv socket: segment ", id, " was never passed"));
}

absl::StatusOr<std::shared_ptr<const KvProfile>> LocalKvConnection::Profile(absl::string_view profile_id) {
  {
    absl::MutexLock lock(&mu_);
    const auto it = profiles_.find(profile_id);
    if (it != profiles_.end()) return it->second;
  }
  v1::LocalRequest request;
  request.mutable_get_profile()->set_profile_id(std::string(profile_id));
  ASSIGN_OR_RETURN(const v1::LocalReply reply, Call(request));
  ASSIGN_OR_RETURN(KvProfile profile, FromProto(reply.get_profile().profile()));
  auto shared = std::make_shared<const KvProfile>(std::move(profile));
  absl::MutexLock lock(&mu_);
  return profiles_.try_emplace(profile_id, std::move(shared)).first->second;
}

}  // namespace larder
