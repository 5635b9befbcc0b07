#include "tools/bench/kv_local.h"

#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rpc/kv_socket.h"
#include "storage/status_macros.h"
#include "tools/bench/kv_store.h"
#include "tools/bench/work_directory.h"

namespace larder::tools {
namespace {

constexpr uint32_t kEntries = 8;     // read in turn
constexpr uint32_t kChurn = 32;      // more than the rest of the pool holds
constexpr int kLookupRounds = 2'000;

// One line of JSON from this program as the reader.
absl::StatusOr<nlohmann::ordered_json> RunReader(const KvOptions& options, const KvBenchStore& store,
                                                 const std::string& socket, const std::string& phase) {
  const std::string command =
      absl::StrCat("'", std::filesystem::read_symlink("/proc/self/exe").string(), "' kv-local --reader '", socket,
                   "' --profile ", store.profile_id(), " --phase ", phase, " --entries ", kEntries, " --tokens ",
                   options.tokens);
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return absl::UnavailableError("kv-local: cannot start the reader");
  std::string output(4'096, '\0');
  output.resize(std::fread(output.data(), 1, output.size(), pipe));
  const int status = ::pclose(pipe);
  auto figures = nlohmann::ordered_json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || figures.is_discarded()) {
    return absl::InternalError(absl::StrCat("kv-local: the reader failed (", status, "): ", output));
  }
  return figures;
}

// Brings entries from disk into a pool that is full, in turn, so that others must go.
class EvictionLoad {
 public:
  explicit EvictionLoad(KvBenchStore* store) {
    thread_ = std::thread([this, store] {
      for (uint32_t i = 0; !stop_; ++i) {
        const KvKey key = store->Key(kEntries + i % kChurn);
        const auto views = store->kv().Acquire({&key, 1});
        if (!views[0].ok()) status_ = views[0].status();
      }
    });
  }
  absl::Status Stop() {
    stop_ = true;
    thread_.join();
    return status_;
  }

 private:
  std::atomic<bool> stop_ = false;
  absl::Status status_;
  std::thread thread_;
};

// Microseconds a key of KvCache::Lookup in this process, tokens given, all in shared memory.
absl::StatusOr<double> LookupInProcess(KvBenchStore* store) {
  std::vector<KvKey> keys;
  for (uint32_t i = 0; i < 64; ++i) keys.push_back(store->Key(i % kEntries));
  std::vector<double> seconds;
  for (int i = 0; i < kLookupRounds; ++i) {
    const double start = KvNow();
    ASSIGN_OR_RETURN(const auto answers, store->kv().Lookup(keys));
    seconds.push_back((KvNow() - start) / static_cast<double>(keys.size()));
    if (!answers[0].hit) return absl::InternalError("kv-local: an entry that was put is not there");
  }
  return KvMedian(seconds) * 1e6;
}

KvFigure Figure(const nlohmann::ordered_json& line, const char* name, const char* text) {
  return {name, line[name].get<double>(), text};
}

}  // namespace

absl::StatusOr<KvResult> MeasureLocal(const KvOptions& options) {
  KvProfile form;
  form.layers = options.layers;
  form.kv_heads = options.heads;
  form.head_dim = options.dim;
  const uint64_t entry_bytes = form.LayerBytes(options.tokens) * 2 * options.layers;
  // Room for half of what churns: a pool that stays full.
  const uint64_t pool_bytes = std::max<uint64_t>(64 << 20, (kEntries + kChurn / 2) * (entry_bytes + entry_bytes / 8));
  ASSIGN_OR_RETURN(const std::unique_ptr<KvBenchStore> store, KvBenchStore::Make(options, "local", pool_bytes));
  for (uint32_t i = kEntries + kChurn; i > 0; --i) RETURN_IF_ERROR(store->Put(i - 1));
  const std::string socket = store->path() + "/kv.sock";
  ASSIGN_OR_RETURN(std::unique_ptr<KvSocket> server, KvSocket::Start(&store->kv(), {.path = socket}));
  ASSIGN_OR_RETURN(const auto copy, RunReader(options, *store, socket, "copy"));
  ASSIGN_OR_RETURN(const double lookup_us, LookupInProcess(store.get()));
  EvictionLoad load(store.get());
  const auto lookup = RunReader(options, *store, socket, "lookup");
  RETURN_IF_ERROR(load.Stop());
  RETURN_IF_ERROR(lookup.status());
  KvResult result;
  for (const nlohmann::ordered_json* const figures : {&copy, &*lookup}) {
    for (const auto& [name, value] : figures->items()) result.lines.push_back({{"name", name}, {"value", value}});
  }
  result.figures = {Figure(copy, "shm_ratio_memcpy", "another process's read of an entry that it has leased, beside memcpy"),
                    Figure(copy, "shm_ratio_with_lease", "likewise, taking and giving back a lease each time"),
                    Figure(copy, "shm_gb_s", "GB/s of that read"),
                    Figure(copy, "memcpy_gb_s", "GB/s of the memcpy"),
                    Figure(copy, "huge_page_share", "of shared memory that lies in huge pages"),
                    {"lookup_us_per_key", lookup_us, "µs a key in this process, 64 keys a call"},
                    Figure(*lookup, "lookup64_p50_us", "µs, 64 keys over the socket under eviction load"),
                    Figure(*lookup, "lookup64_p99_us", "likewise"),
                    Figure(*lookup, "evictions_meanwhile", "entries evicted during those calls")};
  return result;
}

absl::Status RunKvLocal(const KvLocalOptions& options) {
  if (!options.socket.empty()) {
    ASSIGN_OR_RETURN(const nlohmann::ordered_json figures, ReadLocal(options));
    std::printf("%s\n", figures.dump().c_str());
    return absl::OkStatus();
  }
  KvOptions store = options.store;
  store.sections = {"local"};
  return InDirectory<KvOptions, RunKv>(store);
}

}  // namespace larder::tools
