// Put sessions: begin, layers as they come, commit.
#ifndef LARDER_ENGINE_KV_KV_PUT_H_
#define LARDER_ENGINE_KV_KV_PUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_session.h"
#include "larder/kv_types.h"

namespace larder::kv {

inline constexpr size_t kMaxSessions = 1'024;
inline constexpr size_t kMaxOwners = 1'024;  // of one call
inline constexpr uint64_t kPutCopyBytes = 256 << 20;  // of payloads that open puts keep for shared memory
inline constexpr absl::Duration kSessionIdle = absl::Minutes(10);

// The layers' bytes go to the extent store as they come; a session holds only pointers. Sessions that
// nobody has used for kSessionIdle are aborted at the next PutBegin or ExpireIdle. Thread-safe.
class KvPutter {
 public:
  explicit KvPutter(KvContext* context) : context_(*context) {}
  ~KvPutter() { AbortAll(); }

  absl::StatusOr<KvPutHandle> Begin(const KvPutRequest& request);
  absl::Status Layer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v);
  absl::Status Sidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes);
  // Where layers are missing the session stays open; any other failure ends it like an abort.
  absl::Status Commit(KvPutHandle handle);
  absl::Status Abort(KvPutHandle handle);

  // Returns how many owner rows were new.
  absl::StatusOr<uint32_t> AddOwners(const KvKey& key, absl::Span<const KvOwner> owners);

  size_t ExpireIdle();  // returns how many
  void AbortAll();

 private:
  using SessionPtr = std::shared_ptr<PutSession>;

  absl::StatusOr<SessionPtr> Find(KvPutHandle handle);
  absl::StatusOr<KvPutHandle> Admit(SessionPtr session);
  void Remove(KvPutHandle handle, PutSession* session);

  KvContext& context_;
  PutCopyBudget copies_{kPutCopyBytes};
  absl::Mutex mu_;
  absl::flat_hash_map<KvPutHandle, SessionPtr> sessions_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> producers_ ABSL_GUARDED_BY(mu_);  // entry keys of sessions_
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PUT_H_
