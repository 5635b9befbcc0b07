// Reads entries: which are there, and their layers.
#ifndef LARDER_ENGINE_KV_KV_READ_H_
#define LARDER_ENGINE_KV_KV_READ_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_entry.h"
#include "larder/kv_types.h"
#include "storage/store.h"

namespace larder::kv {

inline constexpr size_t kMaxKeys = 65'536;  // of one Lookup or Plan

// What a record must say to be a hit: tenant, profile, every token and the context. The hash in the key
// is only how it was found.
absl::StatusOr<EntryHeader> HeaderFor(const KvKey& key);
// "", or the first field in which the two differ, with both values.
std::string Mismatch(const EntryHeader& found, const EntryHeader& expected);

// NotFound if there is none, or if it is another's: the message then names the field that differs.
// DataLoss if its record is damaged.
absl::StatusOr<Entry> ReadEntry(const storage::Store& store, absl::string_view entry_key,
                                const EntryHeader& expected);
// A damaged record is not an entry.
absl::StatusOr<bool> HasEntry(const storage::Store& store, absl::string_view entry_key,
                              const EntryHeader& expected);

// See KvCache. A damaged record is a miss.
absl::StatusOr<std::vector<KvLookup>> Lookup(const KvContext& context, absl::string_view tenant,
                                             absl::string_view profile_id,
                                             absl::Span<const std::vector<int32_t>> chunks);
absl::StatusOr<std::vector<KvLookup>> Lookup(const KvContext& context, absl::Span<const KvKey> keys);
absl::StatusOr<std::string> GetSidecar(KvContext* context, const KvKey& key, KvSidecarKind kind);
// Reads extents of one entry; NotFound is "the entry, or what was asked of it, is not there". `pick` says
// which, and is asked again when garbage collection has moved them meanwhile. Damage drops the entry, and
// the message of the DataLoss that tells of it begins with `what`.
struct Picked {
  std::vector<storage::ExtentPointer> pointers;
  std::vector<std::string> names;  // for messages: "layer 3 K"
};
using Pick = std::function<absl::StatusOr<Picked>(const Entry& entry)>;
absl::StatusOr<std::vector<std::string>> ReadPicked(KvContext* context, const std::string& entry_key,
                                                    const EntryHeader& expected, const Pick& pick);
// ReadEntry, which drops an entry whose record is damaged, and finds none that has expired.
absl::StatusOr<Entry> ReadOrDrop(KvContext* context, const std::string& entry_key,
                                 const EntryHeader& expected);

absl::StatusOr<bool> Delete(KvContext* context, const KvKey& key);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_READ_H_
