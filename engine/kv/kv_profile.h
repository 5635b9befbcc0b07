// KV profiles: their limits, their canonical form, their id, and the catalog that keeps them.
#ifndef LARDER_ENGINE_KV_KV_PROFILE_H_
#define LARDER_ENGINE_KV_KV_PROFILE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "larder/kv_types.h"
#include "storage/store.h"

namespace larder::kv {

// K (or V) of one layer at most, whatever the token count.
inline constexpr uint64_t kMaxLayerBytes = 1ull << 30;

// The limits of every field; InvalidArgument names the field, what was found and what is expected.
absl::Status ValidateProfile(const KvProfile& profile);

// One JSON-like line with every field, sorted by name: what the id is computed from. Fields are taken
// as they stand (rotary_dim 0 is not head_dim), so that a difference anywhere is another id.
std::string CanonicalProfile(const KvProfile& profile);
// Hex SHA-256 of the canonical form.
std::string ProfileId(const KvProfile& profile);

// The catalog's record.
std::string EncodeProfile(const KvProfile& profile);
absl::StatusOr<KvProfile> DecodeProfile(absl::string_view record, absl::string_view what);

// Profiles in Table::kCatalog under "kv-profile/<id>", cached once read; they are never changed or
// removed. Thread-safe.
class ProfileCatalog {
 public:
  explicit ProfileCatalog(storage::Store* store) : store_(store) {}

  // Idempotent; durable when it returns.
  absl::StatusOr<std::string> Register(const KvProfile& profile);
  // NotFound if it was never registered, DataLoss if its record does not match its id.
  absl::StatusOr<std::shared_ptr<const KvProfile>> Get(absl::string_view profile_id) const;
  absl::StatusOr<std::vector<std::string>> List() const;  // ids, sorted

 private:
  storage::Store* const store_;
  mutable absl::Mutex mu_;
  mutable absl::flat_hash_map<std::string, std::shared_ptr<const KvProfile>> cache_ ABSL_GUARDED_BY(mu_);
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PROFILE_H_
