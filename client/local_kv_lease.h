// A lease from the inside.
#ifndef LARDER_CLIENT_LOCAL_KV_LEASE_H_
#define LARDER_CLIENT_LOCAL_KV_LEASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/local_kv_connection.h"
#include "engine/kv/pool/segment_map.h"
#include "larder/local_kv.h"

namespace larder {

class LocalKvLease::State {
 public:
  // Takes over a grant; `granted` is a time before the server gave it.
  static absl::StatusOr<LocalKvLease> Take(std::shared_ptr<LocalKvConnection> connection,
                                           const v1::LocalAcquireReply::Grant& grant,
                                           const std::string& profile_id, absl::Time granted);
  ~State();

  // Renews the lease once half of it is over. FailedPrecondition if it has ended.
  absl::Status Use();
  absl::Status Check() const;
  absl::Status Renew();

  std::shared_ptr<LocalKvConnection> connection;
  std::shared_ptr<const kv::SegmentMap> segment;
  kv::EntryPlace place;
  std::vector<absl::string_view> payloads;  // [layer][K|V]
  uint64_t id = 0, bytes = 0;
  std::string profile_id, codec;
  uint32_t tokens = 0, layers = 0;
  std::optional<uint32_t> rotated_from;
  absl::Time deadline;
};

}  // namespace larder

#endif  // LARDER_CLIENT_LOCAL_KV_LEASE_H_
