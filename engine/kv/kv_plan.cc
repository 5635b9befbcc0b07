#include "engine/kv/kv_plan.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_read.h"
#include "storage/status_macros.h"

namespace larder::kv {

absl::StatusOr<KvPlan> Plan(const KvContext& context, const KvPlanRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<KvLookup> found,
                   Lookup(context, request.tenant, request.profile_id, request.chunks));
  KvPlan plan;
  plan.items.reserve(found.size());
  uint64_t position = request.first_position;
  for (size_t i = 0; i < found.size(); ++i) {
    const uint64_t tokens = request.chunks[i].size();
    if (position + tokens - 1 > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat("kv plan: chunk ", i, " ends at position ",
                                                     position + tokens - 1, ", expected at most ",
                                                     std::numeric_limits<uint32_t>::max()));
    }
    KvPlanItem item;
    item.hit = found[i].hit;
    item.position = static_cast<uint32_t>(position);
    item.tokens = static_cast<uint32_t>(tokens);
    item.bytes = found[i].bytes;
    plan.items.push_back(item);
    (item.hit ? plan.hit_tokens : plan.miss_tokens) += tokens;
    plan.bytes += item.bytes;
    position += tokens;
  }
  return plan;
}

}  // namespace larder::kv
