#include "rpc/kv_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "proto/packet_socket.h"
#include "rpc/kv_local_session.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

absl::Status CheckPeer(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return absl::PermissionDeniedError("kv socket: the peer cannot be told");
  }
  if (peer.uid == ::geteuid() || peer.uid == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("kv socket: the peer is user ", peer.uid, ", expected ", ::geteuid(), " or root"));
}

void Refuse(int socket, const absl::Status& why) {
  v1::LocalReply reply;
  reply.mutable_status()->set_code(static_cast<int>(why.code()));
  reply.mutable_status()->set_message(std::string(why.message()));
  SendPacket(socket, reply.SerializeAsString()).IgnoreError();
}

class KvSocketServer final : public KvSocket {
 public:
  KvSocketServer(KvCacheImpl* kv, KvSocketOptions options, PacketFd listener, PacketFd stop)
      : kv_(kv), options_(std::move(options)), listener_(std::move(listener)), stop_(std::move(stop)) {
    acceptor_ = std::thread([this] { AcceptAll(); });
  }
  ~KvSocketServer() override {
    ::eventfd_write(stop_.get(), 1);
    acceptor_.join();
    {
      absl::MutexLock lock(&mu_);
      for (Client& client : clients_) ::shutdown(client.socket.get(), SHUT_RDWR);
    }
    Reap(/*all=*/true);
    ::unlink(options_.path.c_str());
  }

  uint32_t clients() const override { return connected_.load(); }

 private:
  struct Client {
    PacketFd socket;
    std::thread thread;
    std::atomic<bool> done = false;
  };

  void AcceptAll() {
    for (;;) {
      pollfd ready[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(ready, 2, 1'000) < 0 && errno != EINTR) return;
      if (ready[1].revents != 0) return;
      Reap(/*all=*/false);
      if (ready[0].revents == 0) continue;
      PacketFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket.get() < 0) {
        if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, 50);  // until somebody closes one
        continue;
      }
      Admit(std::move(socket));
    }
  }

  void Admit(PacketFd socket) {
    absl::Status status = PreparePackets(socket.get(), options_.hello, options_.send);
    if (status.ok()) status = CheckPeer(socket.get());
    if (status.ok() && connected_.load() >= options_.max_clients) {
      status = absl::ResourceExhaustedError(
          absl::StrCat("kv socket: ", options_.max_clients, " clients are connected, expected fewer"));
    }
    if (!status.ok()) return Refuse(socket.get(), status);
    absl::MutexLock lock(&mu_);
    Client& client = clients_.emplace_back();
    client.socket = std::move(socket);
    ++connected_;
    try {
      client.thread = std::thread([this, &client] {
        Talk(client.socket.get());
        --connected_;
        client.done = true;
      });
    } catch (const std::system_error&) {  // no thread can be had
      --connected_;
      clients_.pop_back();
    }
  }

  void Talk(int socket) {
    KvLocalSession session(kv_);
    std::string buffer, packet;
    v1::LocalReply reply;
    std::vector<std::shared_ptr<const kv::Segment>> segments;
    for (;;) {
      const auto received = ReceivePacket(socket, &buffer, nullptr);
      if (!received.ok()) {
        if (absl::IsInvalidArgument(received.status())) Refuse(socket, received.status());
        return;
      }
      const bool sound = session.Serve(*received, &reply, &segments);
      if (!Send(socket, reply, segments, &packet) || !sound) return;
      // Once greeted it may wait as long as it likes: its leases end by themselves.
      if (reply.has_hello() && !PreparePackets(socket, absl::Hours(24 * 365), options_.send).ok()) return;
    }
  }

  static bool Send(int socket, const v1::LocalReply& reply,
                   const std::vector<std::shared_ptr<const kv::Segment>>& segments, std::string* packet) {
    std::vector<int> fds;
    fds.reserve(segments.size());
    for (const auto& segment : segments) fds.push_back(segment->fd());
    return reply.SerializeToString(packet) && SendPacket(socket, *packet, fds).ok();
  }

  void Reap(bool all) {
    std::list<Client> gone;
    {
      absl::MutexLock lock(&mu_);
      for (auto it = clients_.begin(); it != clients_.end();) {
        const auto next = std::next(it);
        if (all || it->done) gone.splice(gone.end(), clients_, it);
        it = next;
      }
    }
    for (Client& client : gone) client.thread.join();
  }

  KvCacheImpl* const kv_;
  const KvSocketOptions options_;
  const PacketFd listener_, stop_;
  std::atomic<uint32_t> connected_ = 0;
  absl::Mutex mu_;
  std::list<Client> clients_ ABSL_GUARDED_BY(mu_);
  std::thread acceptor_;
};

}  // namespace

absl::Status KvSocketOptions::Validate() const {
  if (max_clients < 1 || max_clients > 4'096) {
    return absl::InvalidArgumentError(
        absl::StrCat("KvSocketOptions.max_clients is ", max_clients, ", expected 1 to 4096"));
  }
  if (hello > absl::ZeroDuration() && send > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError("KvSocketOptions: deadlines must be positive");
}

absl::StatusOr<std::unique_ptr<KvSocket>> KvSocket::Start(KvCache* kv, const KvSocketOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  if (kv->impl()->pool() == nullptr) {
    return absl::FailedPreconditionError("kv socket: the database has no shared memory for KV (kv_pool_bytes is 0)");
  }
  PacketFd stop(::eventfd(0, EFD_CLOEXEC));
  if (stop.get() < 0) return absl::ResourceExhaustedError("kv socket: no file descriptor is left");
  ASSIGN_OR_RETURN(PacketFd listener, ListenPackets(options.path));
  return std::make_unique<KvSocketServer>(kv->impl(), options, std::move(listener), std::move(stop));
}

}  // namespace larder
