#include "engine/kv/policy/s3_fifo_policy.h"

#include <algorithm>
#include <iterator>

namespace larder::kv {
namespace {

constexpr uint32_t kMostUses = 3;  // two bits, as in the paper
constexpr uint64_t kSmallShare = 10;

}  // namespace

void S3FifoPolicy::Append(Resident* resident, bool in_main) {
  resident->in_main = in_main;
  resident->uses = 0;
  Queue& queue = QueueOf(*resident);
  resident->place = queue.ids.insert(queue.ids.end(), resident->object.id);
  queue.bytes += resident->object.bytes;
}

void S3FifoPolicy::Leave(const Resident& resident) {
  Queue& queue = QueueOf(resident);
  queue.ids.erase(resident.place);
  queue.bytes -= resident.object.bytes;
}

void S3FifoPolicy::Insert(const KvObject& object) {
  Erase(object.id);
  Resident& resident = residents_[object.id];
  resident.object = object;
  const auto ghost = ghost_places_.find(object.id);
  Append(&resident, ghost != ghost_places_.end());
  if (ghost == ghost_places_.end()) return;
  ghosts_.erase(ghost->second);
  ghost_places_.erase(ghost);
}

void S3FifoPolicy::Touch(uint64_t id) {
  const auto it = residents_.find(id);
  if (it != residents_.end()) it->second.uses = std::min(it->second.uses + 1, kMostUses);
}

void S3FifoPolicy::Erase(uint64_t id) {
  const auto it = residents_.find(id);
  if (it == residents_.end()) return;
  Leave(it->second);
  residents_.erase(it);
}

void S3FifoPolicy::Remember(uint64_t id) {
  ghost_places_[id] = ghosts_.insert(ghosts_.end(), id);
  while (ghosts_.size() > std::max<size_t>(1, main_.ids.size())) {
    ghost_places_.erase(ghosts_.front());
    ghosts_.pop_front();
  }
}

void S3FifoPolicy::Evict(uint64_t id) {
  const auto it = residents_.find(id);
  if (it == residents_.end()) return;
  const bool was_small = !it->second.in_main;
  Erase(id);
  if (was_small) Remember(id);
}

std::optional<uint64_t> S3FifoPolicy::Scan(bool main, absl::FunctionRef<bool(uint64_t)> may_evict) {
  Queue& queue = main ? main_ : small_;
  for (auto it = queue.ids.begin(); it != queue.ids.end();) {
    Resident& resident = residents_.at(*it++);
    if (!may_evict(resident.object.id)) continue;
    if (resident.uses == 0) return resident.object.id;
    const uint32_t left = main ? resident.uses - 1 : 0;
    Leave(resident);
    Append(&resident, true);
    resident.uses = left;
    if (!main && small_.bytes * kSmallShare < main_.bytes + small_.bytes) break;
    if (it == queue.ids.end() && main) it = std::prev(queue.ids.end());
  }
  return std::nullopt;
}

std::optional<uint64_t> S3FifoPolicy::Victim(absl::FunctionRef<bool(uint64_t)> may_evict) {
  const bool small_first = small_.bytes * kSmallShare >= main_.bytes + small_.bytes;
  if (small_first) {
    if (const auto victim = Scan(false, may_evict)) return victim;
  }
  if (const auto victim = Scan(true, may_evict)) return victim;
  // Nothing of the main queue may go: of the small one, whatever its share.
  while (!small_.ids.empty()) {
    const uint64_t before = small_.ids.size();
    if (const auto victim = Scan(false, may_evict)) return victim;
    if (const auto victim = Scan(true, may_evict)) return victim;
    if (small_.ids.size() == before) break;
  }
  return std::nullopt;
}

std::optional<uint64_t> S3FifoPolicy::VictimOf(uint32_t tenant, absl::FunctionRef<bool(uint64_t)> may_evict) {
  return Victim([&](uint64_t id) { return residents_.at(id).object.tenant == tenant && may_evict(id); });
}

}  // namespace larder::kv
