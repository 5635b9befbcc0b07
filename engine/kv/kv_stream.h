// Reads parts of entries layer by layer.
#ifndef LARDER_ENGINE_KV_KV_STREAM_H_
#define LARDER_ENGINE_KV_KV_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/kv_context.h"
#include "larder/kv_types.h"

namespace larder::kv {

inline constexpr size_t kMaxObjects = 4'096;  // of one Read

// See KvCache::Read. All objects of a layer before the next layer; the extents of the layers that follow
// are read meanwhile (kv_read_ahead.h). An extent that was moved since its entry's record was read is read
// anew; a damaged one drops its entry.
absl::Status Read(KvContext* context, absl::Span<const KvReadRequest> requests, KvReadSink sink);
absl::StatusOr<std::vector<KvLayer>> Get(KvContext* context, const KvKey& key, uint32_t first,
                                         uint32_t count);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_STREAM_H_
