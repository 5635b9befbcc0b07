#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/local_kv.h"
#include "storage/status_macros.h"
#include "tools/bench/kv_local.h"
#include "tools/bench/kv_store.h"

namespace larder::tools {
namespace {

constexpr int kCopyRounds = 60;
constexpr int kLookupKeys = 64;
constexpr int kLookupCalls = 20'000, kWarmCalls = 500;

double At(std::vector<double>* sorted, double share) {
  const size_t at = std::min(sorted->size() - 1, static_cast<size_t>(share * static_cast<double>(sorted->size())));
  return (*sorted)[at];
}

// Seconds of one read of an entry: lookup and lease by socket, copy, release.
absl::StatusOr<double> CopyShared(LocalKv* kv, const KvLocalOptions& options, uint32_t seed, std::vector<std::byte>* to) {
  const std::vector<std::vector<int32_t>> chunks = {KvBenchTokens(seed, options.store.tokens)};
  const double start = KvNow();
  auto leases = kv->Acquire(options.profile_id, chunks);
  RETURN_IF_ERROR(leases[0].status());
  to->resize(leases[0]->bytes());
  RETURN_IF_ERROR(leases[0]->CopyTo(absl::MakeSpan(*to)));
  leases.clear();
  return KvNow() - start;
}

// A memcpy of as many bytes from this process's own memory, in turn with the reads: A B A B. Several
// sources each, so that neither is served from a cache that the other filled.
absl::StatusOr<nlohmann::ordered_json> MeasureCopy(LocalKv* kv, const KvLocalOptions& options) {
  std::vector<std::byte> to;
  for (uint32_t seed = 0; seed < options.entries; ++seed) RETURN_IF_ERROR(CopyShared(kv, options, seed, &to).status());
  const std::vector<std::vector<std::byte>> own(options.entries, to);
  std::vector<double> shared, copied, ratios;
  for (int i = 0; i < kCopyRounds; ++i) {
    const uint32_t seed = static_cast<uint32_t>(i) % options.entries;
    ASSIGN_OR_RETURN(const double read, CopyShared(kv, options, seed, &to));
    const double start = KvNow();
    std::memcpy(to.data(), own[seed].data(), to.size());
    copied.push_back(KvNow() - start);
    shared.push_back(read);
    ratios.push_back(copied.back() / read);
  }
  ASSIGN_OR_RETURN(const LocalKvStats stats, kv->Stats());
  const double bytes = static_cast<double>(to.size());
  return nlohmann::ordered_json{{"entry_bytes", to.size()},
                                {"shm_gb_s", bytes / KvMedian(shared) / 1e9},
                                {"memcpy_gb_s", bytes / KvMedian(copied) / 1e9},
                                {"shm_ratio_memcpy", KvMedian(copied) / KvMedian(shared)},
                                {"median_of_ratios", KvMedian(ratios)},
                                {"huge_page_share", static_cast<double>(stats.huge_page_bytes) /
                                                        static_cast<double>(std::max<uint64_t>(1, stats.segment_bytes))}};
}

absl::StatusOr<nlohmann::ordered_json> MeasureLookup(LocalKv* kv, const KvLocalOptions& options) {
  std::vector<std::vector<int32_t>> chunks;
  for (uint32_t i = 0; i < kLookupKeys; ++i) chunks.push_back(KvBenchTokens(i % options.entries, options.store.tokens));
  std::vector<double> seconds, hashed;
  uint64_t hits = 0;
  ASSIGN_OR_RETURN(const LocalKvStats before, kv->Stats());
  std::vector<LocalKv::Hash> hashes;
  for (const auto& tokens : chunks) hashes.push_back({LocalKv::HashOf(tokens), static_cast<uint32_t>(tokens.size())});
  for (int i = 0; i < kWarmCalls + kLookupCalls; ++i) {
    const double start = KvNow();
    ASSIGN_OR_RETURN(const auto answers, kv->Lookup(options.profile_id, hashes));
    const double end = KvNow();
    for (const KvLookup& answer : answers) hits += answer.hit ? 1 : 0;
    if (i >= kWarmCalls) seconds.push_back(end - start);
    if (i % 20 != 0) continue;
    ASSIGN_OR_RETURN(const auto again, kv->Lookup(options.profile_id, chunks));
    hashed.push_back(KvNow() - end);
  }
  ASSIGN_OR_RETURN(const LocalKvStats after, kv->Stats());
  std::sort(seconds.begin(), seconds.end());
  return nlohmann::ordered_json{{"calls", seconds.size()},
                                {"lookup64_p50_us", At(&seconds, 0.5) * 1e6},
                                {"lookup64_p99_us", At(&seconds, 0.99) * 1e6},
                                {"lookup64_p999_us", At(&seconds, 0.999) * 1e6},
                                {"lookup64_with_sha_p50_us", KvMedian(hashed) * 1e6},
                                {"hit_share", static_cast<double>(hits) / kLookupKeys / (kWarmCalls + kLookupCalls)},
                                {"evictions_meanwhile", after.evictions - before.evictions},
                                {"pool_full", static_cast<double>(after.entry_bytes) / static_cast<double>(after.capacity_bytes)}};
}

}  // namespace

absl::StatusOr<nlohmann::ordered_json> ReadLocal(const KvLocalOptions& options) {
  if (options.entries == 0) return absl::InvalidArgumentError("kv-local: no entries to read");
  ASSIGN_OR_RETURN(const auto kv, LocalKv::Connect({.path = options.socket}));
  return options.phase == "copy" ? MeasureCopy(kv.get(), options) : MeasureLookup(kv.get(), options);
}

}  // namespace larder::tools
