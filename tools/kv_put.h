// One KV entry in, from begin to commit, and out, by whatever speaks KvCache's verbs (KvCache, KvClient).
#ifndef LARDER_TOOLS_KV_PUT_H_
#define LARDER_TOOLS_KV_PUT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "larder/kv_types.h"
#include "storage/status_macros.h"

namespace larder::tools {

// Aborts the session on the first failure, which it returns.
template <typename Kv>
absl::Status PutLayers(Kv& kv, const KvPutRequest& request, absl::Span<const KvLayer> layers) {
  ASSIGN_OR_RETURN(const KvPutHandle handle, kv.PutBegin(request));
  absl::Status status;
  for (const KvLayer& layer : layers) {
    status = kv.PutLayer(handle, layer.layer, layer.k, layer.v);
    if (!status.ok()) break;
  }
  if (status.ok()) status = kv.PutCommit(handle);
  if (!status.ok()) kv.PutAbort(handle).IgnoreError();
  return status;
}

template <typename Kv>
absl::StatusOr<std::vector<KvLayer>> ReadLayers(const Kv& kv, const KvReadRequest& request) {
  std::vector<KvLayer> layers;
  absl::Status failed;
  RETURN_IF_ERROR(kv.Read({&request, 1}, [&](const KvLayerRead& read) {
    failed = read.status;
    if (failed.ok()) layers.push_back({read.layer, std::string(read.k), std::string(read.v)});
    return failed.ok();
  }));
  RETURN_IF_ERROR(failed);
  return layers;
}

}  // namespace larder::tools

#endif  // LARDER_TOOLS_KV_PUT_H_
