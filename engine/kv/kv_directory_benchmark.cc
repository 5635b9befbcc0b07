// Lookups in a directory of a million entries, and how long it takes to have one again after opening.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_test_database.h"
#include "storage/schema.h"

namespace larder::kv {
namespace {

using storage::Table;

constexpr int kBatch = 64;  // keys a lookup

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

// The rows of `count` entries of 16 tokens, as commits write them; with_extents: one layer each, whose K
// and V are 512 bytes (4 KiB on disk), else none.
void Fill(TestDatabase& db, int64_t count, bool with_extents) {
  const std::string payload = Payload(512, 1, 0, false);
  storage::WriteBatch batch;
  for (int64_t i = 0; i < count; ++i) {
    const KvKey key = db.Key(static_cast<int>(i));
    Entry entry;
    entry.header = *HeaderFor(key);
    entry.header.codec = "raw";
    const std::string entry_key = *EntryKey(key.tenant, key.profile_id, key.tokens);
    if (with_extents) {
      const EntryLayer layer{*db.extents().Append(payload), *db.extents().Append(payload)};
      for (const auto& pointer : {layer.k, layer.v}) {
        db.extents().Reference(pointer, {Table::kKvEntries, entry_key}, &batch);
      }
      entry.layers = {layer};
    }
    batch.Put(Table::kKvEntries, entry_key, EncodeEntry(entry));
    batch.Put(Table::kKvOwners, SummaryKey(HashOf(entry_key)),
              EncodeSummary({entry_key, with_extents ? 2 * payload.size() : 0, 16, 0.001}));
    batch.Count(storage::Counter::kKvEntries, 1);
    if (i % 1'000 != 999 && i + 1 != count) continue;
    if (with_extents) Check(db.extents().Sync());
    Check(db.store().Write(std::exchange(batch, {}), /*sync=*/false).status());
  }
}

std::vector<KvKeyHash> Hashes(const TestDatabase& db, int64_t count) {
  std::vector<KvKeyHash> hashes;
  for (int64_t i = 0; i < count; ++i) hashes.push_back(*KvCache::Hash(db.Key(static_cast<int>(i))));
  return hashes;
}

double Seconds(absl::FunctionRef<void()> work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Opening the store, the extents and the cache, and then filling the directory: "filled" in seconds.
void Reopen(benchmark::State& state) {
  TestDatabase db(256 << 20);
  Fill(db, state.range(0), state.range(1) != 0);
  db.Reopen();  // the log of the writes is replayed once
  for (auto _ : state) {
    double opened = 0;
    const double filled = Seconds([&] {
      opened = Seconds([&] { db.Reopen(); });
      db.AwaitFilled();
    });
    state.SetIterationTime(filled);
    state.counters["opened_s"] = opened;
  }
  const KvStats stats = *db.kv().Stats();
  state.counters["directory_bytes_entry"] =
      static_cast<double>(stats.directory_bytes) / static_cast<double>(stats.directory_entries);
}
BENCHMARK(Reopen)
    ->Args({1'000'000, 0})
    ->Args({200'000, 1})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kSecond);

// A million entries, shared by what only reads them.
TestDatabase& Million() {
  static TestDatabase* const db = [] {
    auto* made = new TestDatabase(256 << 20);
    Fill(*made, 1'000'000, false);
    made->Reopen();
    made->AwaitFilled();
    return made;
  }();
  return *db;
}

// By prepared keys, all hits (0) or all misses (1).
void LookupPrepared(benchmark::State& state) {
  TestDatabase& db = Million();
  std::vector<KvKeyHash> hashes = Hashes(db, 100'000);
  for (KvKeyHash& hash : hashes) hash.low += static_cast<uint64_t>(state.range(0));
  size_t at = 0;
  for (auto _ : state) {
    const auto answers = db.kv().Lookup("", absl::MakeConstSpan(&hashes[at], kBatch));
    if (!answers.ok() || (*answers)[0].hit == (state.range(0) != 0)) std::abort();
    at = (at + kBatch * 37) % (hashes.size() - kBatch);
  }
  state.counters["us_per_key"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kBatch) / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(LookupPrepared)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

// By tokens: hashing, the store's record, comparison of the tokens.
void LookupByTokens(benchmark::State& state) {
  TestDatabase& db = Million();
  std::vector<KvKey> keys;
  for (int i = 0; i < 10'000; ++i) keys.push_back(db.Key(i));
  size_t at = 0;
  for (auto _ : state) {
    const auto answers = db.kv().Lookup(absl::MakeConstSpan(&keys[at], kBatch));
    if (!answers.ok() || !(*answers)[0].hit) std::abort();
    at = (at + kBatch * 37) % (keys.size() - kBatch);
  }
  state.counters["us_per_key"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kBatch) / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(LookupByTokens)->Unit(benchmark::kMicrosecond);

// What preparing a key of 512 tokens costs, once.
void PrepareKey(benchmark::State& state) {
  const KvKey key{"", std::string(64, 'a'), Tokens(1, 512)};
  for (auto _ : state) benchmark::DoNotOptimize(KvCache::Hash(key));
}
BENCHMARK(PrepareKey)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace larder::kv
