// What LocalKv and its leases share: the socket, the segments that were passed, the profiles.
#ifndef LARDER_CLIENT_LOCAL_KV_CONNECTION_H_
#define LARDER_CLIENT_LOCAL_KV_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/kv/pool/segment_map.h"
#include "larder/local_kv.h"
#include "larder/v1/kv_local.pb.h"
#include "proto/packet_socket.h"

namespace larder {

// Thread-safe.
class LocalKvConnection {
 public:
  static absl::StatusOr<std::shared_ptr<LocalKvConnection>> Open(const LocalKvOptions& options);

  // One round trip. An error that leaves it unknown which reply comes next closes the connection.
  absl::StatusOr<v1::LocalReply> Call(const v1::LocalRequest& request);
  // The segment that a grant names. FailedPrecondition if it never came.
  absl::StatusOr<std::shared_ptr<const kv::SegmentMap>> Segment(uint64_t id);
  absl::StatusOr<std::shared_ptr<const KvProfile>> Profile(absl::string_view profile_id);

  absl::Time Now() const { return options_.clock(); }
  absl::Duration lease() const { return lease_; }
  const std::string& tenant() const { return options_.tenant; }

 private:
  LocalKvConnection(LocalKvOptions options, PacketFd socket)
      : options_(std::move(options)), socket_(std::move(socket)) {}
  absl::Status Greet();
  absl::Status Keep(const v1::LocalAcquireReply& reply, std::vector<PacketFd> fds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<v1::LocalReply> Exchange(const std::string& packet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LocalKvOptions options_;
  absl::Duration lease_;
  absl::Mutex mu_;
  PacketFd socket_ ABSL_GUARDED_BY(mu_);
  std::string buffer_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<uint64_t, std::shared_ptr<const kv::SegmentMap>> segments_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::shared_ptr<const KvProfile>> profiles_ ABSL_GUARDED_BY(mu_);
};

// The status a peer sent; Internal for a code that is none.
absl::Status FromLocal(const v1::LocalStatus& status);

}  // namespace larder

#endif  // LARDER_CLIENT_LOCAL_KV_CONNECTION_H_
