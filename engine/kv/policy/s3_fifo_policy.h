// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
#ifndef LARDER_ENGINE_KV_POLICY_S3_FIFO_POLICY_H_
#define LARDER_ENGINE_KV_POLICY_S3_FIFO_POLICY_H_

#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "engine/kv/policy/policy.h"

namespace larder::kv {

// A newcomer enters a small queue, a tenth of the resident bytes. What was used again by the time it
// reaches the end moves to the main queue, the rest leaves and is remembered as a ghost, as many of
// them as the main queue holds; a ghost that returns enters the main queue at once. The main queue
// gives what was used another round, at most three.
class S3FifoPolicy : public EvictionPolicy {
 public:
  void Insert(const KvObject& object) override;
  void Touch(uint64_t id) override;
  void Erase(uint64_t id) override;
  void Evict(uint64_t id) override;
  std::optional<uint64_t> Victim(absl::FunctionRef<bool(uint64_t)> may_evict) override;
  std::optional<uint64_t> VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) override;
  bool Admit(const KvObject&) override { return true; }

 private:
  struct Queue {
    std::list<uint64_t> ids;  // the oldest first
    uint64_t bytes = 0;
  };
  struct Resident {
    KvObject object;
    uint32_t uses;  // since it entered its queue, at most 3
    bool in_main;
    std::list<uint64_t>::iterator place;
  };

  Queue& QueueOf(const Resident& resident) { return resident.in_main ? main_ : small_; }
  void Append(Resident* resident, bool in_main);
  void Leave(const Resident& resident);
  // The first of the queue that was not used; those before it that were get their due.
  std::optional<uint64_t> Scan(bool main, absl::FunctionRef<bool(uint64_t)> may_evict);
  void Remember(uint64_t id);

  Queue small_, main_;
  absl::flat_hash_map<uint64_t, Resident> residents_;
  std::list<uint64_t> ghosts_;  // the oldest first
  absl::flat_hash_map<uint64_t, std::list<uint64_t>::iterator> ghost_places_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POLICY_S3_FIFO_POLICY_H_
