#include "tools/bench/kv_trace.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/kv/policy/policy.h"
#include "storage/status_macros.h"
#include "tools/bench/kv_trace_file.h"
#include "tools/bench/kv_trace_replay.h"
#include "tools/bench/plot.h"

namespace larder::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kOurs[] = "larder";
constexpr char kBelady[] = "belady";
constexpr char kBound[] = "offline-bound";

struct Size {
  double share = 0;
  uint64_t bytes = 0;
  std::map<std::string, KvTraceTokens> results;  // by policy
};

absl::StatusOr<Size> Measure(const KvTrace& trace, const KvTraceCosts& costs, double share, uint64_t distinct) {
  Size size{share, static_cast<uint64_t>(static_cast<double>(distinct) * share), {}};
  const uint64_t mean = std::max<uint64_t>(1, distinct / trace.tokens.size());
  for (const std::string& name : kv::PolicyNames()) {
    ASSIGN_OR_RETURN(const auto policy, kv::MakePolicy(name, size.bytes / mean));
    size.results[name] = Replay(trace, costs, size.bytes, policy.get());
  }
  size.results[kBelady] = ReplayBelady(trace, costs, size.bytes);
  size.results[kBound] = OfflineBound(trace, costs, size.bytes);
  return size;
}

std::vector<std::string> Columns() {
  std::vector<std::string> columns = kv::PolicyNames();
  columns.insert(columns.end(), {kBelady, kBound});
  return columns;
}

// Absent where there is nothing to compare with.
Json Ratio(double of, double to) { return to > 0 ? Json(of / to) : Json(); }

std::vector<Json> Lines(const std::string& name, const Size& size) {
  std::vector<Json> lines;
  const double lru = size.results.at("lru").recomputed;
  for (const std::string& policy : Columns()) {
    const KvTraceTokens& tokens = size.results.at(policy);
    const double computed = static_cast<double>(tokens.first) + tokens.recomputed;
    const double lru_computed = static_cast<double>(tokens.first) + lru;
    lines.push_back({{"trace", name},
                     {"policy", policy},
                     {"cache_share", size.share},
                     {"cache_bytes", size.bytes},
                     {"requested_tokens", tokens.requested},
                     {"first_tokens", tokens.first},
                     {"recomputed_tokens", tokens.recomputed},
                     {"ratio_lru", Ratio(tokens.recomputed, lru)},
                     {"ratio_lru_with_first", Ratio(computed, lru_computed)}});
  }
  return lines;
}

double Sum(const std::vector<Size>& sizes, const std::string& policy) {
  return std::accumulate(sizes.begin(), sizes.end(), 0.0, [&](double sum, const Size& size) {
    return sum + size.results.at(policy).recomputed;
  });
}

Json Summary(const std::string& name, const KvTrace& trace, const std::vector<Size>& sizes) {
  const double ours = Sum(sizes, kOurs), lru = Sum(sizes, "lru");
  const KvTraceTokens& tokens = sizes.front().results.at("lru");
  const double first = static_cast<double>(tokens.first) * static_cast<double>(sizes.size());
  int reached = 0, reachable = 0;
  for (const Size& size : sizes) {
    const double goal = 0.8 * size.results.at("lru").recomputed;
    reached += size.results.at(kOurs).recomputed <= goal;
    reachable += size.results.at(kBound).recomputed <= goal;
  }
  return {{"summary", true},
          {"trace", name},
          {"requests", trace.requests.size()},
          {"objects", trace.tokens.size()},
          {"sizes", trace.sizes},
          {"first_tokens", tokens.first},
          {"requested_tokens", tokens.requested},
          {"ratio_lru", Ratio(ours, lru)},
          {"ratio_offline", Ratio(ours, Sum(sizes, kBound))},
          {"ratio_lru_with_first", Ratio(ours + first, lru + first)},
          {"ratio_lru_belady", Ratio(Sum(sizes, kBelady), lru)},
          {"ratio_lru_bound", Ratio(Sum(sizes, kBound), lru)},
          {"ratio_lru_bound_with_first", Ratio(Sum(sizes, kBound) + first, lru + first)},
          {"cache_sizes", sizes.size()},
          {"cache_sizes_20_percent_below_lru", reached},
          {"cache_sizes_where_the_bound_is", reachable}};
}

void PrintHeading(const std::string& name, const KvTrace& trace, const KvTraceTokens& tokens) {
  std::printf("%s: %zu requests for %zu objects, %.1f M tokens, of which %.1f M are computed first by any policy\n"
              "sizes %s\n"
              "tokens computed again, in %% of those that were requested again; LRU's at equal bytes is 1 in ()\n%-7s",
              name.c_str(), trace.requests.size(), trace.tokens.size(), static_cast<double>(tokens.requested) / 1e6,
              static_cast<double>(tokens.first) / 1e6, trace.sizes.c_str(), "cache");
  for (const std::string& column : Columns()) std::printf(" %14s", column.c_str());
  std::printf("\n");
}

void PrintRow(const Size& size) {
  std::printf("%5.1f %%", size.share * 100);
  const double lru = size.results.at("lru").recomputed;
  for (const std::string& column : Columns()) {
    const KvTraceTokens& tokens = size.results.at(column);
    const double again = static_cast<double>(tokens.requested - tokens.first);
    std::printf(" %14s", absl::StrFormat("%.2f (%.2f)", 100 * tokens.recomputed / std::max(1.0, again),
                                         lru > 0 ? tokens.recomputed / lru : 1.0).c_str());
  }
  std::printf("\n");
}

void PrintSummary(const Json& summary) {
  const auto number = [&](const char* key) { return summary[key].is_null() ? 0.0 : summary[key].get<double>(); };
  std::printf("over all sizes: larder/lru %.3f, larder/bound %.2f, belady/lru %.3f, bound/lru %.3f; with first "
              "computations larder/lru %.3f, bound/lru %.3f\n20 %% below LRU at %d of %d sizes; the bound is at %d\n",
              number("ratio_lru"), number("ratio_offline"), number("ratio_lru_belady"), number("ratio_lru_bound"),
              number("ratio_lru_with_first"), number("ratio_lru_bound_with_first"),
              summary["cache_sizes_20_percent_below_lru"].get<int>(), summary["cache_sizes"].get<int>(),
              summary["cache_sizes_where_the_bound_is"].get<int>());
}

}  // namespace

absl::Status RunKvTrace(const KvTraceOptions& options) {
  ASSIGN_OR_RETURN(const KvTrace trace, ReadKvTrace(options.trace, options.format, options.seed));
  const KvTraceCosts costs{options.bytes_per_token};
  const uint64_t distinct =
      std::accumulate(trace.tokens.begin(), trace.tokens.end(), uint64_t{0}) * costs.bytes_per_token;
  const std::string name = options.trace.substr(options.trace.rfind('/') + 1);
  std::vector<Size> sizes;
  std::vector<std::string> lines;
  for (const double share : options.shares) {
    ASSIGN_OR_RETURN(const Size size, Measure(trace, costs, share, distinct));
    if (!options.json && sizes.empty()) PrintHeading(name, trace, size.results.at("lru"));
    for (const Json& line : Lines(name, size)) lines.push_back(line.dump());
    if (!options.json) PrintRow(size);
    sizes.push_back(size);
  }
  const Json summary = Summary(name, trace, sizes);
  lines.push_back(summary.dump());
  if (!options.json) PrintSummary(summary);
  for (const std::string& line : lines) {
    if (options.json) std::printf("%s\n", line.c_str());
  }
  return options.plot.empty() ? absl::OkStatus() : Plot("kv-trace", lines, options.plot);
}

}  // namespace larder::tools
