// The workload of LMCache issue 4663: a fixed set of chunks, in a new order for every query. A cache whose
// keys depend on what stood before a chunk finds less and less; a content-addressed one finds all.
#include <algorithm>
#include <numeric>
#include <random>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/bench/kv_store.h"

namespace larder::tools {
namespace {

// Puts what the plan misses, reads everything rotated to its place in the prompt.
struct Query {
  double load_s = 0;  // plan and reads, measured
  uint64_t missed_tokens = 0;
};

absl::StatusOr<Query> Ask(KvBenchStore* store, const std::vector<uint32_t>& order) {
  Query query;
  KvPlanRequest request{"", store->profile_id(), {}, 0};
  for (const uint32_t seed : order) request.chunks.push_back(store->Tokens(seed));
  double start = KvNow();
  ASSIGN_OR_RETURN(const KvPlan plan, store->kv().Plan(request));
  query.load_s = KvNow() - start;
  query.missed_tokens = plan.miss_tokens;
  std::vector<KvReadRequest> reads;
  for (size_t i = 0; i < order.size(); ++i) {
    if (!plan.items[i].hit) {
      RETURN_IF_ERROR(store->Put(order[i]));
      continue;
    }
    reads.push_back({.key = store->Key(order[i]), .rotate_to = plan.items[i].position});
  }
  absl::Status failed;
  start = KvNow();
  RETURN_IF_ERROR(store->kv().Read(reads, [&](const KvLayerRead& read) {
    failed = read.status;
    return failed.ok();
  }));
  query.load_s += KvNow() - start;
  RETURN_IF_ERROR(failed);
  return query;
}

}  // namespace

absl::StatusOr<KvResult> MeasureReorder(const KvOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<KvBenchStore> store, KvBenchStore::Make(options, "reorder"));
  std::vector<uint32_t> order(options.chunks);
  std::iota(order.begin(), order.end(), 0);
  RETURN_IF_ERROR(Ask(store.get(), order).status());  // fills the store: the prompt that everybody computes
  ASSIGN_OR_RETURN(const DatabaseStats filled, store->database().Stats());
  const double token_s = options.prefill_us_per_token / 1e6;
  const double full_s = static_cast<double>(options.chunks) * options.tokens * token_s;
  std::mt19937 random(4663);
  std::vector<double> speedups;
  KvResult result;
  for (uint32_t batch = 0; batch < options.batches; ++batch) {
    std::vector<double> seconds;
    for (uint32_t i = 0; i < options.queries; ++i) {
      std::shuffle(order.begin(), order.end(), random);
      ASSIGN_OR_RETURN(const Query query, Ask(store.get(), order));
      seconds.push_back(query.load_s + static_cast<double>(query.missed_tokens) * token_s);
    }
    speedups.push_back(full_s / KvMedian(seconds));
    result.lines.push_back(
        {{"x", batch}, {"y", speedups.back()}, {"x_name", "batch"}, {"y_name", "speed-up over prefill"}});
  }
  ASSIGN_OR_RETURN(const DatabaseStats after, store->database().Stats());
  result.figures = {{"reorder_speedup_ratio", speedups.back() / speedups.front(),
                     "speed-up of the last batch / of the first"},
                    {"reorder_speedup", KvMedian(speedups),
                     absl::StrCat("x, of ", options.chunks, " chunks loaded over prefilled at ",
                                  options.prefill_us_per_token, " us a token")},
                    {"new_keys", static_cast<double>(after.kv_entries - filled.kv_entries),
                     absl::StrCat("entries added by ", options.batches * options.queries, " new orders")}};
  return result;
}

}  // namespace larder::tools
