// The tenants of a tier: numbers for their names, what each uses, and what it may.
#ifndef LARDER_ENGINE_KV_KV_TENANTS_H_
#define LARDER_ENGINE_KV_KV_TENANTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "storage/store.h"

namespace larder::kv {

struct KvTenant {
  std::string name;
  std::atomic<uint64_t> quota_bytes = 0;  // 0 = no limit
  std::atomic<uint64_t> entries = 0, bytes = 0;
  std::atomic<uint64_t> reserved = 0;     // by puts that are about to commit
  std::atomic<uint64_t> hits = 0, misses = 0, reads = 0, evictions = 0;
  std::atomic<double> saved_seconds = 0;
};

// Tenants are never forgotten while the database is open; references stay valid. Quotas that were set
// for one tenant are kept in Table::kCatalog under "kv-quota/<tenant>". Thread-safe.
class KvTenants {
 public:
  KvTenants(storage::Store* store, uint64_t default_quota) : store_(store), default_quota_(default_quota) {}

  // Reads the quotas that were set.
  absl::Status Open();
  // Makes it known.
  uint32_t Number(absl::string_view name);
  std::optional<uint32_t> Find(absl::string_view name) const;
  KvTenant& operator[](uint32_t number) const;
  // Of every tenant, in order of their numbers.
  std::vector<const KvTenant*> All() const;

  // Durable when it returns. nullopt: back to the default.
  absl::Status SetQuota(absl::string_view name, std::optional<uint64_t> bytes);
  // Whether any tenant has a limit.
  bool limited() const { return default_quota_ != 0 || quotas_set_.load() > 0; }

 private:
  storage::Store* const store_;
  const uint64_t default_quota_;
  std::atomic<uint64_t> quotas_set_ = 0;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, uint32_t> numbers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<KvTenant>> tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_TENANTS_H_
