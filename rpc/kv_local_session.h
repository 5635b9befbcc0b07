// One connection of a process that reads KV from shared memory: its calls, without their socket.
#ifndef LARDER_RPC_KV_LOCAL_SESSION_H_
#define LARDER_RPC_KV_LOCAL_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/kv/kv_cache_impl.h"
#include "larder/v1/kv_local.pb.h"

namespace larder {

inline constexpr uint32_t kLocalVersion = 1;
inline constexpr int kMaxLookupKeys = 1'024;
inline constexpr int kMaxAcquireKeys = kMaxLookupKeys / 8;
inline constexpr int kMaxLeasesOfCall = 4'096;

// Answers whatever bytes come. Leases end with the session, or a while after they were last renewed.
// Thread-compatible.
class KvLocalSession {
 public:
  // `kv` has a pool and outlives the session.
  explicit KvLocalSession(KvCacheImpl* kv);
  ~KvLocalSession();
  KvLocalSession(const KvLocalSession&) = delete;
  KvLocalSession& operator=(const KvLocalSession&) = delete;

  // Replaces `reply`. `segments`: whose descriptors go with it.
  // False: the peer speaks another language; send the reply and hang up.
  bool Serve(absl::string_view packet, v1::LocalReply* reply,
             std::vector<std::shared_ptr<const kv::Segment>>* segments);

 private:
  using Segments = std::vector<std::shared_ptr<const kv::Segment>>;

  absl::Status Dispatch(const v1::LocalRequest& request, v1::LocalReply* reply, Segments* segments);
  absl::Status Hello(const v1::LocalHello& request, v1::LocalHelloReply* reply);
  absl::Status Lookup(const v1::LocalLookup& request, v1::LocalLookupReply* reply);
  absl::Status Acquire(const v1::LocalAcquire& request, v1::LocalAcquireReply* reply, Segments* segments);
  absl::Status AcquireOne(const std::string& profile_id, const v1::LocalAcquire::Key& key,
                          v1::LocalAcquireReply::Grant* grant, v1::LocalAcquireReply* reply, Segments* segments);
  absl::Status Renew(const v1::LocalRenew& request, v1::LocalRenewReply* reply);
  absl::Status Release(const v1::LocalRelease& request, v1::LocalReleaseReply* reply);
  void Stats(v1::LocalStatsReply* reply) const;

  KvCacheImpl* const kv_;
  const std::shared_ptr<kv::KvPool> pool_;
  const kv::ClientId client_;
  bool greeted_ = false;
  std::string tenant_;
  absl::flat_hash_set<uint64_t> passed_;  // segments that the peer has
};

}  // namespace larder

#endif  // LARDER_RPC_KV_LOCAL_SESSION_H_
