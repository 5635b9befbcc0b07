// KV entries read by another process on the same host: larderd passes the shared memory in which they lie
// over a Unix socket (larderd --kv-pool-mb N --kv-socket PATH), and nothing is copied.
//
//   auto kv = larder::LocalKv::Connect({.path = "/run/larder/kv", .tenant = "acme"});
//   auto leases = (*kv)->Acquire(profile_id, chunks);          // one answer a chunk
//   for (uint32_t layer = 0; layer < leases[0]->layers(); ++layer) {
//     auto view = leases[0]->Layer(layer);                     // where it lies, as the codec keeps it
//     ... or leases[0]->Decode(layer, kv::KvSide::kKey, {}, &rotation, pages);
//   }
//
// Links neither engine nor gRPC's channel; the socket's user must be this process's.
#ifndef LARDER_LOCAL_KV_H_
#define LARDER_LOCAL_KV_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "larder/kv_codec.h"
#include "larder/kv_types.h"

namespace larder {

class LocalKvConnection;

struct LocalKvOptions {
  std::string path;    // of larderd's --kv-socket
  std::string tenant = {};  // whose entries
  absl::Duration deadline = absl::Seconds(10);  // of a call; one that misses it ends the connection
  std::function<absl::Time()> clock = {};       // for tests; empty = one that never goes back
};

// An entry held in shared memory. While the lease lasts its bytes stay what they are, although the entry
// is evicted or its document deleted. It is renewed by use: a reader that goes on reading keeps it. One
// that pauses for longer than the lease loses it, and is told so. Movable; thread-compatible.
class LocalKvLease {
 public:
  class State;  // private to the client

  explicit LocalKvLease(std::unique_ptr<State> state);
  LocalKvLease(LocalKvLease&&) noexcept;
  LocalKvLease& operator=(LocalKvLease&&) noexcept;
  ~LocalKvLease();  // releases

  uint32_t layers() const;
  uint32_t tokens() const;
  const std::string& codec() const;
  std::optional<uint32_t> rotated_from() const;  // as KvLookup's
  uint64_t bytes() const;                        // of all payloads

  // Copies nothing. FailedPrecondition, naming the lease, if it has ended or was released.
  // InvalidArgument for a layer that is not there.
  absl::StatusOr<KvLayerView> Layer(uint32_t layer);
  // OK: all that was read from views up to now was this entry's. Ask after reading, where it matters.
  absl::Status Check();

  // All payloads, [layer][K|V], one after the other, into `out` of bytes() bytes; checked.
  absl::Status CopyTo(absl::Span<std::byte> out);
  // K or V of one layer into the caller's pages (see larder/kv_codec.h); checked.
  absl::Status Decode(uint32_t layer, kv::KvSide side, const kv::KvSelection& selection,
                      const kv::RopeTable* rotation, const kv::KvTarget& target);
  // For Decode: what brings the entry's first token to `position`.
  absl::StatusOr<kv::RopeTable> RotationTo(uint32_t position);

  absl::Status Renew();
  void Release();

 private:
  std::unique_ptr<State> state_;
};

struct LocalKvStats {
  uint64_t capacity_bytes = 0, segment_bytes = 0, huge_page_bytes = 0, entry_bytes = 0;
  uint64_t entries = 0, leases = 0, hits = 0, misses = 0, insertions = 0, evictions = 0;
};

// One connection, shared by all threads; each call is a round trip. Thread-safe. Unavailable once the
// server is gone: connect anew.
class LocalKv {
 public:
  static absl::StatusOr<std::unique_ptr<LocalKv>> Connect(const LocalKvOptions& options);
  explicit LocalKv(std::shared_ptr<LocalKvConnection> connection);
  ~LocalKv();  // leases may outlive it

  // Which of the chunks (token ids each) are in shared memory, and how large. Advisory, of entries without
  // context: hashes travel, no tokens. At most 1,024.
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::string_view profile_id,
                                               absl::Span<const std::vector<int32_t>> chunks);
  // Likewise by SHA-256 of the token ids (KvTokenHash, raw), and their number: for who keeps them.
  struct Hash {
    std::string sha256;
    uint32_t tokens = 0;
  };
  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::string_view profile_id, absl::Span<const Hash> hashes);
  static std::string HashOf(absl::Span<const int32_t> tokens);

  // One answer a chunk, in order: brought from disk if it has to be. NotFound on a miss, DataLoss for a
  // damaged entry, ResourceExhausted if this process holds too much; a failed call is each one's status.
  std::vector<absl::StatusOr<LocalKvLease>> Acquire(absl::string_view profile_id,
                                                    absl::Span<const std::vector<int32_t>> chunks);
  std::vector<absl::StatusOr<LocalKvLease>> Acquire(absl::Span<const KvKey> keys);  // of this tenant

  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id);
  absl::StatusOr<LocalKvStats> Stats();

 private:
  const std::shared_ptr<LocalKvConnection> connection_;
};

}  // namespace larder

#endif  // LARDER_LOCAL_KV_H_
