// Who reads which entry, and until when.
#ifndef LARDER_ENGINE_KV_POOL_LEASE_TABLE_H_
#define LARDER_ENGINE_KV_POOL_LEASE_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace larder::kv {

struct PoolEntry;
using LeaseId = uint64_t;
using ClientId = uint64_t;
inline constexpr ClientId kThisProcess = 0;  // its leases end only when they are released

// A lease is its client's alone: another's number is as unknown as one that was never given. The entry
// is kept by whoever owns the table, until the lease comes back. Single-threaded.
class LeaseTable {
 public:
  // `bytes`: what the lease counts for in BytesOf.
  LeaseId Add(ClientId client, PoolEntry* entry, uint64_t bytes, absl::Time deadline);
  // Both: FailedPrecondition saying that the lease has ended, if it has, or never was the client's.
  absl::Status Renew(ClientId client, LeaseId lease, absl::Time deadline);
  absl::StatusOr<PoolEntry*> Remove(ClientId client, LeaseId lease);

  // The entries of the leases that were taken away.
  std::vector<PoolEntry*> RemoveClient(ClientId client);
  std::vector<PoolEntry*> RemoveExpired(absl::Time now);

  size_t size() const { return leases_.size(); }
  size_t CountOf(ClientId client) const;
  uint64_t BytesOf(ClientId client) const;

 private:
  struct Lease {
    ClientId client;
    PoolEntry* entry;
    uint64_t bytes;
    absl::Time deadline;
  };
  struct Client {
    absl::flat_hash_set<LeaseId> leases;
    uint64_t bytes = 0;
  };

  LeaseId next_ = 1;
  absl::Time earliest_ = absl::InfiniteFuture();  // no deadline is before it
  absl::flat_hash_map<LeaseId, Lease> leases_;
  absl::flat_hash_map<ClientId, Client> clients_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_LEASE_TABLE_H_
