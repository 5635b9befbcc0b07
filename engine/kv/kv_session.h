// One put in progress: which layers have come, and where their bytes lie.
#ifndef LARDER_ENGINE_KV_KV_SESSION_H_
#define LARDER_ENGINE_KV_KV_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_payload.h"
#include "engine/kv/kv_put_copy.h"
#include "storage/extent_store.h"

namespace larder::kv {

struct SessionOwner {
  KvOwner owner;
  ChunkRef chunk;  // when the put began; a chunk that has changed since is no owner
};

// What a session is for; fixed from the beginning.
struct SessionSubject {
  std::string entry_key;
  EntryHeader header;  // all but created_ms and bytes
  std::shared_ptr<const KvProfile> profile;
  LayerEncoder encoder;
  std::vector<SessionOwner> owners;
  double saved_seconds = 0;
};

// What a put has appended.
struct PutExtents {
  std::vector<EntryLayer> layers;      // by layer number
  std::vector<EntrySidecar> sidecars;  // by kind
};

inline constexpr uint64_t kMaxSidecarBytes = 64 << 20;

// Layers may come from many threads at once. Whatever was appended is forgotten unless the session
// ends committed. Thread-safe.
class PutSession {
 public:
  // `budget`: for a copy of the payloads; null = no copy.
  PutSession(SessionSubject subject, storage::ExtentStore* extents, absl::Time now,
             PutCopyBudget* budget = nullptr);
  ~PutSession() { Close(); }

  const SessionSubject& subject() const { return subject_; }

  // Checks layer and sizes, then encodes and appends K and V, with no lock held. AlreadyExists if the
  // layer has come.
  absl::Status PutLayer(uint32_t layer, absl::string_view k, absl::string_view v, absl::Time now);

  // AlreadyExists if the kind has come. Saliency is a float a token, little endian, finite.
  absl::Status PutSidecar(KvSidecarKind kind, absl::string_view bytes, absl::Time now);

  // All that was put, if no layer is missing; from then on the session takes no layer and is neither idle nor
  // aborted until EndCommit, which ends it. FailedPrecondition naming what is missing.
  absl::StatusOr<PutExtents> BeginCommit();
  // The payloads [layer][K|V] of what BeginCommit gave, or none if they were not kept.
  std::vector<std::string> TakeCopy() { return copy_.Take(); }
  // Forgets what was appended unless it has an owner now.
  void EndCommit(bool committed);

  // Closes the session, and says so, unless it was used after `deadline` or is at work.
  bool CloseIfIdle(absl::Time deadline);
  // Forgets what was appended. False while a commit runs.
  bool Close();

 private:
  enum class State : uint8_t { kOpen, kCommitting, kClosed };
  enum class Slot : uint8_t { kEmpty, kAppending, kFilled };

  absl::Status Claim(uint32_t layer, absl::Time now);
  absl::Status Fill(uint32_t layer, const absl::StatusOr<EntryLayer>& appended, absl::Time now);
  absl::StatusOr<EntryLayer> AppendBoth(uint32_t layer, absl::string_view k, absl::string_view v);
  absl::StatusOr<absl::string_view> Encode(KvSide side, absl::string_view tensor, std::string* buffer);
  absl::Status CheckSidecar(KvSidecarKind kind, absl::string_view bytes) const;
  void Forget(const EntryLayer& layer);
  void ForgetAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool CloseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status NotOpen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const SessionSubject subject_;
  storage::ExtentStore* const extents_;
  PutCopy copy_;
  mutable absl::Mutex mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kOpen;
  absl::Time last_used_ ABSL_GUARDED_BY(mu_);
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  PutExtents extents_put_ ABSL_GUARDED_BY(mu_);
  // Set once, before the layers that it is to serve.
  std::shared_ptr<const std::vector<float>> saliency_ ABSL_GUARDED_BY(mu_);
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_SESSION_H_
