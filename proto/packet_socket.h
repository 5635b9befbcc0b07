// Packets over a Unix socket (SOCK_SEQPACKET), and the file descriptors that travel with them: how
// larderd and a process beside it exchange the messages of kv_local.proto.
#ifndef LARDER_PROTO_PACKET_SOCKET_H_
#define LARDER_PROTO_PACKET_SOCKET_H_

#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace larder {

inline constexpr size_t kMaxPacketBytes = 256 << 10;
inline constexpr size_t kMaxPacketFds = 128;

// A file descriptor that closes itself. -1: none.
class PacketFd {
 public:
  explicit PacketFd(int fd = -1) : fd_(fd) {}
  PacketFd(PacketFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  PacketFd& operator=(PacketFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~PacketFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// InvalidArgument for a path that does not fit a socket's address.
absl::StatusOr<PacketFd> ConnectPackets(const std::string& path);
// Listens with mode 0600 from the first moment. Takes the place of a socket that nobody listens on any
// more; AlreadyExists if somebody does, or if the path is something else.
absl::StatusOr<PacketFd> ListenPackets(const std::string& path);

// Sets both directions' deadlines, and buffers that hold the largest packet.
absl::Status PreparePackets(int socket, absl::Duration receive, absl::Duration send);

// Unavailable if the peer is gone, DeadlineExceeded if it does not take it, InvalidArgument for a packet
// that is too large. Raises no SIGPIPE.
absl::Status SendPacket(int socket, absl::string_view packet, absl::Span<const int> fds = {});
// Into `buffer`, which is made large enough once. `fds`: null where none are accepted; those that come all
// the same are closed. Unavailable if the peer is gone, DeadlineExceeded, InvalidArgument for a packet of
// more than kMaxPacketBytes.
absl::StatusOr<absl::string_view> ReceivePacket(int socket, std::string* buffer, std::vector<PacketFd>* fds);

}  // namespace larder

#endif  // LARDER_PROTO_PACKET_SOCKET_H_
