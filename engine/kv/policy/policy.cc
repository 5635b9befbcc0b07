#include "engine/kv/policy/policy.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/kv/policy/larder_policy.h"
#include "engine/kv/policy/ranked_policy.h"
#include "engine/kv/policy/s3_fifo_policy.h"

namespace larder::kv {

std::vector<std::string> PolicyNames() { return {"lru", "lfu", "s3-fifo", "gdsf", "larder"}; }

absl::StatusOr<std::unique_ptr<EvictionPolicy>> MakePolicy(absl::string_view name, uint64_t objects) {
  if (name == "lru") return std::make_unique<LruPolicy>();
  if (name == "lfu") return std::make_unique<LfuPolicy>();
  if (name == "s3-fifo") return std::make_unique<S3FifoPolicy>();
  if (name == "gdsf") return std::make_unique<GdsfPolicy>();
  if (name == "larder") return std::make_unique<LarderPolicy>(objects);
  return absl::InvalidArgumentError(absl::StrCat("eviction policy: found '", name, "', expected one of ",
                                                 absl::StrJoin(PolicyNames(), ", ")));
}

}  // namespace larder::kv
