// The disk tier: which entries it holds, whose they are, and which go when there is no room.
#ifndef LARDER_ENGINE_KV_KV_TIER_H_
#define LARDER_ENGINE_KV_KV_TIER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_directory.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tenants.h"
#include "engine/kv/policy/policy.h"
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/options.h"

namespace larder::kv {

// Directory, accounts and policy change together, under mu_, and follow the store: whoever has written
// an entry's record (or failed to) says so with Refresh while it still holds the entry's lock. Lock
// order: entry locks, then mu_. Thread-safe.
class KvTier {
 public:
  KvTier(KvContext* context, const KvOptions& options);

  // Room that a put has been granted; let go when the put has ended, whatever came of it.
  class Room {
   public:
    Room() = default;
    Room(KvTier* tier, uint32_t tenant, uint64_t bytes) : tier_(tier), tenant_(tenant), bytes_(bytes) {}
    Room(Room&& other) noexcept { *this = std::move(other); }
    Room& operator=(Room&& other) noexcept;
    ~Room();

   private:
    KvTier* tier_ = nullptr;
    uint32_t tenant_ = 0;
    uint64_t bytes_ = 0;
  };
  // Evicts the tenant's own entries down to its quota, then anybody's down to the budget.
  // ResourceExhausted, naming tenant, limit and use, if that does not suffice. Takes entry locks: the
  // caller must hold none.
  absl::StatusOr<Room> MakeRoom(absl::string_view tenant, uint64_t bytes);

  // A request for what is not here: counted. False: the tier is full, and it was not asked for often
  // enough to be worth what would have to go for it.
  bool Admit(absl::string_view entry_key, const Summary& newcomer);

  // Makes the directory say of the entry what its summary row in the store says.
  void Refresh(absl::string_view entry_key);
  void Fill(const KvKeyHash& hash, const Summary& summary);  // see KvDirectory::Fill
  // The fill has come to its end. If it failed the directory stays incomplete: lookups go on asking the
  // store, and puts under a limit are refused.
  void EndFill(const absl::Status& status);

  // By the directory, and before it is filled by the summary rows.
  std::vector<KvLookup> LookupAll(absl::string_view tenant, absl::Span<const KvKeyHash> keys) const;
  bool Expired(const KvKeyHash& hash) const;
  bool any_expire() const { return !directory_.filled() || expiring_ > 0; }  // or may, for all that is known
  absl::Status CheckNotExpired(absl::string_view entry_key) const;  // NotFound: as good as gone
  // Counts what lookups answered.
  void Count(absl::string_view tenant, absl::Span<const KvLookup> answers) const;
  // `share` of the entry's layers were read, the first among them or not: a hit is counted with it.
  // `from_memory`: by shared memory.
  void Served(absl::string_view entry_key, bool first, double share, bool from_memory);

  // NotFound if there is no such entry. Durable when they return.
  absl::Status Pin(absl::string_view entry_key, bool pinned);
  absl::Status SetExpiry(absl::string_view entry_key, int64_t expires_ms);

  // Removes the entry if it has expired.
  absl::Status RemoveExpired(absl::string_view entry_key);
  // Removes what has expired, and evicts down to a margin below the budget. Returns how many went since
  // the last call, for whatever put or sweep.
  absl::StatusOr<uint64_t> Sweep();

  KvTenants& tenants() const { return tenants_; }
  const KvDirectory& directory() const { return directory_; }
  KvStats Stats() const;

 private:
  enum class Why : uint8_t { kRoom, kExpired };
  enum class Limit : uint8_t { kQuota, kBudget };

  int64_t NowMs() const;
  KvTierStats MemoryStats() const;
  KvLookup Lookup(const std::optional<uint32_t>& tenant, absl::string_view name, const KvKeyHash& hash,
                  int64_t now_ms) const;
  DirectoryEntry EntryOf(const Summary& summary) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Account(const KvKeyHash& hash, const DirectoryEntry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unaccount(const KvKeyHash& hash, const DirectoryEntry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Summary> ReadSummary(const KvKeyHash& hash) const;
  absl::Status Change(absl::string_view entry_key, absl::FunctionRef<void(Summary*)> change);

  bool limited() const { return budget_bytes_ != 0 || tenants_.limited(); }
  uint64_t UseOf(Limit limit, uint32_t tenant) const;
  absl::Status Evict(Limit limit, uint32_t tenant, uint64_t bytes, uint64_t limit_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(evicting_);
  // Re-encoded instead of removed. A failure to is none: then it is removed.
  bool DemoteInstead(const KvKeyHash& hash);
  // False if it was gone already, or may not go.
  absl::StatusOr<bool> Remove(const KvKeyHash& hash, Why why);
  absl::StatusOr<std::optional<KvKeyHash>> FullHash(uint64_t policy_id) const;

  KvContext& context_;
  const uint64_t budget_bytes_;
  const std::string demote_to_;
  mutable KvTenants tenants_;
  KvDirectory directory_;
  std::atomic<uint64_t> bytes_ = 0, reserved_ = 0, expiring_ = 0, evictions_ = 0, expirations_ = 0;
  std::atomic<uint64_t> demotions_ = 0, disk_hits_ = 0, memory_hits_ = 0;

  absl::Mutex evicting_;  // one at a time looks for victims; taken before any entry lock
  uint64_t reported_ ABSL_GUARDED_BY(evicting_) = 0;
  mutable absl::Mutex mu_;
  std::unique_ptr<EvictionPolicy> policy_ ABSL_GUARDED_BY(mu_);  // ids: KvKeyHash::high; pinned ones left out
  absl::btree_set<std::pair<int64_t, KvKeyHash>> expiries_ ABSL_GUARDED_BY(mu_);
  uint64_t pinned_entries_ ABSL_GUARDED_BY(mu_) = 0, pinned_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool fill_ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status fill_status_ ABSL_GUARDED_BY(mu_);
  absl::Status quotas_read_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_TIER_H_
