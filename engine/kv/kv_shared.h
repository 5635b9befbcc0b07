// Entries in shared memory: brought there from the store, and handed to readers.
#ifndef LARDER_ENGINE_KV_KV_SHARED_H_
#define LARDER_ENGINE_KV_KV_SHARED_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/pool/kv_pool.h"
#include "larder/kv_types.h"
#include "larder/kv_view.h"

namespace larder::kv {

// FailedPrecondition if the database has no shared memory.
absl::Status CheckPool(const KvContext& context);

// Copies the entry into shared memory, if it is not there. The caller holds none of the context's locks.
// Nothing is published of an entry that was deleted or replaced meanwhile. NotFound on a miss, DataLoss
// for one that is damaged, ResourceExhausted if there is no room.
absl::Status Promote(KvContext* context, const std::string& entry_key, const EntryHeader& expected);

// Likewise, from the payloads [layer][K|V] of the entry, which was just committed.
absl::Status Share(KvContext* context, const std::string& entry_key, const Entry& entry,
                   absl::Span<const std::string> payloads);

// A lease on the entry, which is promoted first if it has to be.
absl::StatusOr<PoolGrant> AcquireGrant(KvContext* context, ClientId client, const KvKey& key);
absl::StatusOr<KvView> AcquireView(KvContext* context, const KvKey& key);

// What shared memory does for one that reads an entry layer by layer: it has the payloads, or it takes what
// comes from disk. Without shared memory, or room in it, it does neither. Single-threaded.
class SharedEntry {
 public:
  SharedEntry() = default;
  // `entry` is what the store has. `whole`: every layer will be read.
  SharedEntry(KvContext* context, const std::string& entry_key, const Entry& entry, const EntryHeader& expected,
              bool whole);

  bool there() const { return view_.layers() > 0; }
  KvLayerView Layer(uint32_t layer) const { return *view_.Layer(layer); }  // if it is there
  void Keep(uint32_t layer, absl::string_view k, absl::string_view v);     // from disk, each once
  // Every layer was kept: others find it from now on.
  void Publish(KvContext* context, const std::string& entry_key, const EntryHeader& expected);

 private:
  KvView view_;
  std::optional<PoolFill> fill_;
  std::vector<storage::ExtentPointer> pointers_;
  size_t kept_ = 0;  // layers
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_SHARED_H_
