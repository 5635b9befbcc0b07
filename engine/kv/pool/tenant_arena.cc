#include "engine/kv/pool/tenant_arena.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"

namespace larder::kv {
namespace {

bool Pinned(const PoolHome& home) {
  return std::any_of(home.entries.begin(), home.entries.end(),
                     [](const PoolEntry* entry) { return entry->pins > 0; });
}

}  // namespace

PoolHome::PoolHome(std::shared_ptr<Segment> of)
    : segment(std::move(of)), runs(FirstEntryOffset(SlotsFor(segment->bytes())), segment->bytes()) {
  const uint32_t slots = SlotsFor(segment->bytes());
  free_slots.reserve(slots);
  for (uint32_t slot = slots; slot > 0; --slot) free_slots.push_back(slot - 1);
}

void TenantArena::AddSegment(std::shared_ptr<Segment> segment) {
  bytes_ += segment->bytes();
  homes_.push_back(std::make_unique<PoolHome>(std::move(segment)));
  homes_.back()->last_used = ++uses_;
}

uint64_t TenantArena::huge_bytes() const {
  uint64_t bytes = 0;
  for (const auto& home : homes_) bytes += home->segment->huge_bytes();
  return bytes;
}

bool TenantArena::Fits(uint64_t length) const {
  return std::any_of(homes_.begin(), homes_.end(),
                     [&](const auto& home) { return home->runs.capacity() >= length; });
}

bool TenantArena::Place(PoolEntry* entry, uint64_t length) {
  for (const auto& home : homes_) {
    if (home->runs.free_bytes() < length) continue;
    const std::optional<uint64_t> offset = home->runs.Allocate(length);
    if (!offset.has_value()) continue;
    entry->home = home.get();
    entry->place.slot = home->free_slots.back();
    home->free_slots.pop_back();
    entry->place.offset = *offset;
    entry->place.length = length;
    home->entries.insert(entry);
    return true;
  }
  return false;
}

void TenantArena::Remove(PoolEntry* entry) {
  PoolHome* const home = entry->home;
  home->segment->Clear(entry->place.slot);
  home->free_slots.push_back(entry->place.slot);
  home->runs.Free(entry->place.offset, entry->place.length);
  home->entries.erase(entry);
  entry->home = nullptr;
}

void TenantArena::Published(PoolEntry* entry) {
  entry->published = true;
  entry->policy_id = absl::HashOf(entry->entry_key);
  while (!by_policy_id_.emplace(entry->policy_id, entry).second) ++entry->policy_id;
  policy_->Insert({.id = entry->policy_id, .bytes = entry->place.length, .saved_seconds = entry->saved_seconds});
  entry->home->last_used = ++uses_;
}

void TenantArena::Unpublished(PoolEntry* entry, bool evicted) {
  entry->published = false;
  by_policy_id_.erase(entry->policy_id);
  if (evicted) {
    policy_->Evict(entry->policy_id);
  } else {
    policy_->Erase(entry->policy_id);
  }
}

void TenantArena::Touch(PoolEntry* entry) {
  policy_->Touch(entry->policy_id);
  entry->home->last_used = ++uses_;
}

PoolEntry* TenantArena::Victim() {
  const auto id = policy_->Victim([&](uint64_t candidate) {
    const auto it = by_policy_id_.find(candidate);
    return it != by_policy_id_.end() && it->second->pins == 0;
  });
  return id.has_value() ? by_policy_id_.at(*id) : nullptr;
}

PoolHome* TenantArena::Idle() {
  PoolHome* idle = nullptr;
  for (const auto& home : homes_) {
    if ((idle == nullptr || home->last_used < idle->last_used) && !Pinned(*home)) idle = home.get();
  }
  return idle;
}

std::shared_ptr<Segment> TenantArena::Detach(PoolHome* home) {
  std::shared_ptr<Segment> segment = home->segment;
  bytes_ -= segment->bytes();
  std::erase_if(homes_, [&](const auto& other) { return other.get() == home; });
  return segment;
}

}  // namespace larder::kv
