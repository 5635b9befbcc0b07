// Plans a prompt: for its chunks in order, what is cached and where it goes.
#ifndef LARDER_ENGINE_KV_KV_PLAN_H_
#define LARDER_ENGINE_KV_KV_PLAN_H_

#include "absl/status/statusor.h"
#include "engine/kv/kv_context.h"
#include "larder/kv_types.h"

namespace larder::kv {

// See KvCache. Chunks follow one another without gaps. A chunk that stands twice is loaded twice: its K
// is rotated to two positions. InvalidArgument if the last position does not fit 32 bits.
absl::StatusOr<KvPlan> Plan(const KvContext& context, const KvPlanRequest& request);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_PLAN_H_
