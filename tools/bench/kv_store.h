// A database with chunks of a given form, for the benchmarks of the KV store.
#ifndef LARDER_TOOLS_BENCH_KV_STORE_H_
#define LARDER_TOOLS_BENCH_KV_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/database.h"
#include "larder/kv.h"
#include "tools/bench/kv.h"

namespace larder::tools {

double KvNow();  // seconds, monotonic
double KvMedian(std::vector<double> values);

std::vector<int32_t> KvBenchTokens(uint32_t seed, uint32_t count);

class KvBenchStore {
 public:
  // Makes a new database in options.directory/name, with so much shared memory.
  static absl::StatusOr<std::unique_ptr<KvBenchStore>> Make(const KvOptions& options,
                                                            const std::string& name,
                                                            uint64_t pool_bytes = 0);

  Database& database() { return *database_; }
  KvCache& kv() { return database_->kv(); }
  const KvProfile& profile() const { return profile_; }
  const std::string& profile_id() const { return profile_id_; }
  const std::string& path() const { return path_; }

  // Chunk `seed`: its tokens, and its entry.
  std::vector<int32_t> Tokens(uint32_t seed) const { return KvBenchTokens(seed, tokens_); }
  KvKey Key(uint32_t seed) const { return {"", profile_id_, Tokens(seed)}; }
  absl::Status Put(uint32_t seed);

 private:
  uint32_t tokens_ = 0;
  KvProfile profile_;
  std::string path_, profile_id_, tensor_;
  std::unique_ptr<Database> database_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_STORE_H_
