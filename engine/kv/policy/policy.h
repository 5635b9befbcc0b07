// Which KV entry to give up when a tier is full, and which newcomer to let in.
#ifndef LARDER_ENGINE_KV_POLICY_POLICY_H_
#define LARDER_ENGINE_KV_POLICY_POLICY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::kv {

struct KvObject {
  uint64_t id = 0;             // unique among the resident; the same when it comes back
  uint64_t bytes = 0;          // at least 1
  double saved_seconds = 0;    // of prefill, at each hit
  uint32_t tenant = 0;         // interned by the owner
};

// Keeps the order of one tier's objects; the owner keeps the objects and their budget. Every call takes
// O(log n) or less, amortised. Not thread-safe: the owner's mutex guards it.
//
// What must not be evicted for long (a pinned entry) is best erased and inserted again later: each
// Victim passes over whatever may_evict refuses.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  virtual void Insert(const KvObject& object) = 0;
  virtual void Touch(uint64_t id) = 0;  // a hit; nothing if it is not resident
  virtual void Erase(uint64_t id) = 0;  // it is gone, whatever the reason; nothing if not resident
  // The resident object to give up next, which stays until Evict or Erase.
  virtual std::optional<uint64_t> Victim(absl::FunctionRef<bool(uint64_t)> may_evict) = 0;

  // Erase for what Victim chose: the policy learns from it (ages the others, remembers a ghost).
  virtual void Evict(uint64_t id) { Erase(id); }
  // Likewise, of one tenant alone: for a quota. Policies that know no tenants pass over the others.
  virtual std::optional<uint64_t> VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) = 0;
  // A request for what is not resident and could be brought in. False: not worth writing (yet). Asked
  // once a request, before Insert; a caller that has to insert anyway may leave it out.
  virtual bool Admit(const KvObject& object) = 0;
};

// "lru", "lfu", "s3-fifo", "gdsf" or "larder" (the default of every tier; see larder_policy.h).
// InvalidArgument for another name. `objects`: how many are expected, for the size of the sketch.
absl::StatusOr<std::unique_ptr<EvictionPolicy>> MakePolicy(absl::string_view name, uint64_t objects);
std::vector<std::string> PolicyNames();

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_POLICY_H_
