#include "proto/packet_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr int kBacklog = 64;

absl::Status SystemError(absl::string_view operation, absl::string_view path = "") {
  const std::string text = absl::StrCat("kv socket ", path, path.empty() ? "" : ": ", operation, ": ", ::strerror(errno));
  switch (errno) {
    case EAGAIN:
      return absl::DeadlineExceededError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    case EMSGSIZE:
      return absl::InvalidArgumentError(text);
    default:
      return absl::UnavailableError(text);
  }
}

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("kv socket path of ", path.size(), " bytes, expected 1 to ",
                                                   sizeof(address.sun_path) - 1));
  }
  ::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<PacketFd> NewSocket() {
  PacketFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return SystemError("socket");
  return socket;
}

// Removes a socket whose server is gone. A server that starts at this very moment may lose its place.
absl::Status ClearStale(const std::string& path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat("kv socket ", path, ": found something that is no socket"));
  }
  if (ConnectPackets(path).ok()) {
    return absl::AlreadyExistsError(absl::StrCat("kv socket ", path, ": another server listens there"));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError("unlink", path);
  return absl::OkStatus();
}

timeval TimeLimit(absl::Duration duration) {
  // 0 would mean for ever.
  return absl::ToTimeval(std::max(duration, absl::Microseconds(1)));
}

void TakeFds(msghdr* message, std::vector<PacketFd>* fds) {
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      ::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds->emplace_back(fd);
    }
  }
}

}  // namespace

absl::StatusOr<PacketFd> ConnectPackets(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(PacketFd socket, NewSocket());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("connect", path);
  }
  return socket;
}

absl::StatusOr<PacketFd> ListenPackets(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  RETURN_IF_ERROR(ClearStale(path));
  ASSIGN_OR_RETURN(PacketFd socket, NewSocket());
  // Linux gives the file the mode of the socket: there is no moment in which others may connect.
  if (::fchmod(socket.get(), 0600) != 0) return SystemError("fchmod", path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("bind", path);
  }
  if (::listen(socket.get(), kBacklog) != 0) return SystemError("listen", path);
  return socket;
}

absl::Status PreparePackets(int socket, absl::Duration receive, absl::Duration send) {
  const int bytes = static_cast<int>(kMaxPacketBytes);  // doubled by the kernel
  const timeval receive_time = TimeLimit(receive), send_time = TimeLimit(send);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  if (::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &receive_time, sizeof(receive_time)) != 0 ||
      ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &send_time, sizeof(send_time)) != 0) {
    return SystemError("setsockopt");
  }
  return absl::OkStatus();
}

absl::Status SendPacket(int socket, absl::string_view packet, absl::Span<const int> fds) {
  if (packet.empty() || packet.size() > kMaxPacketBytes || fds.size() > kMaxPacketFds) {
    return absl::InvalidArgumentError(absl::StrCat("kv socket: a packet of ", packet.size(), " bytes and ", fds.size(),
                                                   " descriptors, expected 1 to ", kMaxPacketBytes,
                                                   " bytes and at most ", kMaxPacketFds, " descriptors"));
  }
  iovec part = {const_cast<char*>(packet.data()), packet.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPacketFds)] = {};
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    ::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? SystemError("send") : absl::OkStatus();
}

absl::StatusOr<absl::string_view> ReceivePacket(int socket, std::string* buffer, std::vector<PacketFd>* fds) {
  buffer->resize(kMaxPacketBytes);
  iovec part = {buffer->data(), buffer->size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPacketFds)];
  if (fds != nullptr) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
  }
  ssize_t received = -1;
  do {
    received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return SystemError("receive");
  if (fds != nullptr) TakeFds(&message, fds);
  if (received == 0) return absl::UnavailableError("kv socket: the peer is gone");
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv socket: a packet of more than ", kMaxPacketBytes, " bytes"));
  }
  return absl::string_view(buffer->data(), static_cast<size_t>(received));
}

}  // namespace larder
