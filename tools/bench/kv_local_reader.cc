#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/local_kv.h"
#include "storage/status_macros.h"
#include "tools/bench/kv_local.h"
#include "tools/bench/kv_store.h"

namespace larder::tools {
namespace {

constexpr int kCopyRounds = 80;
constexpr int kLookupKeys = 64;
constexpr int kLookupCalls = 20'000, kWarmCalls = 500;

double At(std::vector<double>* sorted, double share) {
  const size_t at = std::min(sorted->size() - 1, static_cast<size_t>(share * static_cast<double>(sorted->size())));
  return (*sorted)[at];
}

std::vector<std::vector<int32_t>> Chunks(const KvLocalOptions& options, uint32_t count) {
  std::vector<std::vector<int32_t>> chunks;
  for (uint32_t i = 0; i < count; ++i) chunks.push_back(KvBenchTokens(i % options.entries, options.store.tokens));
  return chunks;
}

// This process's own memory, in huge pages where the system has them: memcpy at its best.
class OwnMemory {
 public:
  explicit OwnMemory(absl::Span<const std::byte> contents) {
    const size_t bytes = (contents.size() + kHugePage - 1) / kHugePage * kHugePage;
    data_ = static_cast<std::byte*>(std::aligned_alloc(kHugePage, bytes));
    if (data_ == nullptr) std::abort();
    ::madvise(data_, bytes, MADV_HUGEPAGE);
    std::memcpy(data_, contents.data(), contents.size());
  }
  OwnMemory(OwnMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  ~OwnMemory() { std::free(data_); }
  std::byte* data() const { return data_; }

 private:
  static constexpr size_t kHugePage = 2 << 20;
  std::byte* data_;
};

// Reads of an entry into this process's own buffer: with a lease that is held, and with one that is taken
// and given back each time, two round trips more. Between them a memcpy of as many bytes from this
// process's own memory. Several sources each, so that none is served from a cache that another filled.
absl::StatusOr<nlohmann::ordered_json> MeasureCopy(LocalKv* kv, const KvLocalOptions& options) {
  const auto chunks = Chunks(options, options.entries);
  auto leases = kv->Acquire(options.profile_id, chunks);
  for (const auto& lease : leases) RETURN_IF_ERROR(lease.status());
  std::vector<std::byte> to(leases[0]->bytes());
  std::vector<OwnMemory> own;
  for (auto& lease : leases) {
    RETURN_IF_ERROR(lease->CopyTo(absl::MakeSpan(to)));
    own.emplace_back(to);
  }
  std::vector<double> shared, leased, copied;
  for (int i = 0; i < kCopyRounds; ++i) {
    const uint32_t seed = static_cast<uint32_t>(i) % options.entries;
    double start = KvNow();
    RETURN_IF_ERROR(leases[seed]->CopyTo(absl::MakeSpan(to)));
    shared.push_back(KvNow() - start);
    start = KvNow();
    std::memcpy(to.data(), own[seed].data(), to.size());
    copied.push_back(KvNow() - start);
    start = KvNow();
    auto one = kv->Acquire(options.profile_id, absl::MakeSpan(chunks).subspan(seed, 1));
    RETURN_IF_ERROR(one[0].status());
    RETURN_IF_ERROR(one[0]->CopyTo(absl::MakeSpan(to)));
    one.clear();
    leased.push_back(KvNow() - start);
  }
  ASSIGN_OR_RETURN(const LocalKvStats stats, kv->Stats());
  const double bytes = static_cast<double>(to.size());
  const double mapped = static_cast<double>(std::max<uint64_t>(1, stats.segment_bytes));
  return nlohmann::ordered_json{{"entry_bytes", to.size()},
                                {"shm_gb_s", bytes / KvMedian(shared) / 1e9},
                                {"memcpy_gb_s", bytes / KvMedian(copied) / 1e9},
                                {"shm_ratio_memcpy", KvMedian(copied) / KvMedian(shared)},
                                {"shm_ratio_with_lease", KvMedian(copied) / KvMedian(leased)},
                                {"huge_page_share", static_cast<double>(stats.huge_page_bytes) / mapped}};
}

absl::StatusOr<nlohmann::ordered_json> MeasureLookup(LocalKv* kv, const KvLocalOptions& options) {
  const auto chunks = Chunks(options, kLookupKeys);
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
