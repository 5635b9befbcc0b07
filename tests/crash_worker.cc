// The crash test's child: writes, updates and deletes documents with KV entries until it is killed.
//   crash_worker DB LOG SEED
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "larder/database.h"
#include "tests/support/crash_kv.h"
#include "tests/support/crash_log.h"
#include "tests/support/documents.h"

namespace larder::testing {
namespace {

constexpr int kThreads = 3;
constexpr int kIdsPerThread = 20;

void Say(int log, const std::string& verb, const std::string& id, int64_t state) {
  const std::string line = verb + " " + id + " " + std::to_string(state) + "\n";
  if (write(log, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(3);
}

void Fail(const absl::Status& status) {
  std::fprintf(stderr, "crash_worker: %s\n", status.ToString().c_str());
  _exit(4);
}

Document MakeDocument(const std::string& id, int64_t value, std::mt19937_64& random) {
  Document document = DocumentOf(id, RandomVector(8, random), {{"value", Scalar(value)}});
  for (size_t i = random() % 3; i > 0; --i) {
    document.chunks.push_back(ChunkOf(std::string(random() % 2000, 'x') + id, RandomVector(8, random)));
  }
  document.text = "source of " + id;
  return document;
}

// The id is this thread's alone: what it has put must be there, byte for byte.
void PutAndCheck(KvCache* kv, size_t codec, const std::vector<std::string>& profiles, const std::string& id,
                 int64_t value, bool may_go) {
  const KvKey key = CrashKey(profiles[codec], id, value, kDemotableTokens);
  if (!PutCrashKv(kv, kCrashCodecs[codec], key, id)) return;
  uint64_t reads = 0;
  const std::string difference = CrashDifference(*kv, kCrashCodecs[codec], key, &reads);
  // Under a budget another thread's put may have evicted it by now, or moved it several times.
  const bool gone = may_go && (absl::StrContains(difference, "NOT_FOUND") || absl::StrContains(difference, "UNAVAILABLE"));
  if (!difference.empty() && !gone) Fail(absl::DataLossError(difference));
}

void Work(Database* db, Collection docs, int log, int thread, uint64_t seed, std::atomic<int64_t>* next_value) {
  std::mt19937_64 random(seed * kThreads + thread);
  std::vector<std::string> profiles;
  for (const char* codec : kCrashCodecs) profiles.push_back(*db->kv().RegisterProfile(CrashProfile(codec)));
  for (;;) {
    std::vector<Document> batch;
    const std::string id = "t" + std::to_string(thread) + "-" + std::to_string(random() % kIdsPerThread);
    if (random() % 5 == 0) {
      Say(log, "begin", id, kDeleted);
      const auto deleted = docs.Delete(id);
      if (!deleted.ok()) Fail(deleted.status());
      Say(log, "ack", id, kDeleted);
      continue;
    }
    const int64_t value = next_value->fetch_add(1);
    Say(log, "begin", id, value);
    const auto stored = docs.Upsert(MakeDocument(id, value, random));
    if (!stored.ok()) Fail(stored.status());
    Say(log, "ack", id, value);
    if (random() % 4 == 0) {
      PutAndCheck(&db->kv(), random() % std::size(kCrashCodecs), profiles, id, value, seed % 2 == 1);
    }
  }
}

}  // namespace
}  // namespace larder::testing

int main(int argc, char** argv) {
  using namespace larder;           // NOLINT
  using namespace larder::testing;  // NOLINT
  if (argc != 4) return 2;
  const int log = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (log < 0) return 3;
  OpenOptions options;
  options.create_if_missing = true;
  options.snapshot_every = 200;  // so that kills meet snapshots too
  options.expiry_sweep_interval = absl::Milliseconds(50);
  const uint64_t seed = std::stoull(argv[3]);
  if (seed % 2 == 1) options.kv = {.disk_bytes = 60'000, .demote_to = "int4"};  // so that kills meet demotions
  auto db = Database::Open(argv[1], options);
  if (!db.ok()) Fail(db.status());
  auto docs = (*db)->GetCollection("docs");
  if (absl::IsNotFound(docs.status())) docs = (*db)->CreateCollection("docs", VectorsOnly(8, IndexKind::kHnsw));
  if (!docs.ok()) Fail(docs.status());
  std::atomic<int64_t> next_value{static_cast<int64_t>(seed) * 1'000'000};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] { Work(db->get(), *docs, log, t, seed, &next_value); });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}
