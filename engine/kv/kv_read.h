// Reads entries: which are there, and their layers.
#ifndef LARDER_ENGINE_KV_KV_READ_H_
#define LARDER_ENGINE_KV_KV_READ_H_

#include <cstdint>
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

// What a record must say to be a hit: tenant, profile and every token. The hash in the key is only
// how it was found.
EntryHeader HeaderFor(const KvKey& key);
bool SameSubject(const EntryHeader& found, const EntryHeader& expected);

// NotFound if there is none, or if it is another's. DataLoss if its record is damaged.
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
absl::StatusOr<std::vector<KvLayer>> Get(KvContext* context, const KvKey& key, uint32_t first,
                                         uint32_t count);
absl::StatusOr<bool> Delete(KvContext* context, const KvKey& key);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_READ_H_
