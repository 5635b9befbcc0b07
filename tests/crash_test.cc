// kill -9 at random times, hundreds of times: no acknowledged write is lost, nothing that was never
// written appears, every open succeeds, and verify finds store, indexes and KV in agreement.
//   LARDER_CRASH_CYCLES=10000 crash_test    the longer run
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/support/crash_kv.h"
#include "tests/support/crash_log.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

pid_t StartWorker(const std::string& db, const std::string& log, uint64_t seed) {
  const std::string seed_text = std::to_string(seed);
  const pid_t child = fork();
  if (child == 0) {
    execl(LARDER_CRASH_WORKER, LARDER_CRASH_WORKER, db.c_str(), log.c_str(), seed_text.c_str(), nullptr);
    _exit(127);
  }
  return child;
}

void WaitForFirstLine(const std::string& log) {
  std::error_code error;
  for (int i = 0; i < 10'000; ++i) {
    if (std::filesystem::file_size(log, error) > 0 && !error) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

int64_t StateOf(const Collection& docs, const std::string& id) {
  const auto document = docs.Get(id, "", true);
  if (absl::IsNotFound(document.status())) return kDeleted;
  EXPECT_TRUE(document.ok()) << id << ": " << document.status();
  if (!document.ok()) return -2;
  EXPECT_EQ(document->text, "source of " + id);
  EXPECT_FALSE(document->chunks.empty());
  return std::get<int64_t>(document->metadata.at("value").values[0]);
}

// A KV entry may be there only while its document is in the state that it was made for.
void CheckKv(Database* db, const std::string& id, int64_t state, const std::set<int64_t>& older) {
  const auto profiles = db->kv().ListProfiles();
  ASSERT_TRUE(profiles.ok());
  if (profiles->empty()) return;
  for (int64_t value : older) {
    if (value == kDeleted) continue;
    const KvKey key = CrashKey((*profiles)[0], id, value);
    const auto found = db->kv().Lookup({key});
    ASSERT_TRUE(found.ok()) << found.status();
    if (!(*found)[0].hit) continue;
    EXPECT_EQ(value, state) << "KV of " << id << " outlived its document's version";
    const auto layers = db->kv().Get(key);
    ASSERT_TRUE(layers.ok()) << layers.status();
    for (const KvLayer& layer : *layers) {
      EXPECT_EQ(layer.k, CrashTensor(key, layer.layer, 'k'));
      EXPECT_EQ(layer.v, CrashTensor(key, layer.layer, 'v'));
    }
  }
}

TEST(Crash, NoAcknowledgedWriteIsLost) {
  const char* wanted = std::getenv("LARDER_CRASH_CYCLES");
  const int cycles = wanted != nullptr ? std::atoi(wanted) : 300;
  const TempDir dir;
  std::mt19937_64 random(20261122);
  std::map<std::string, PossibleStates> states;  // over all cycles
  std::map<std::string, std::set<int64_t>> values;
  uint64_t acknowledged = 0, verified = 0;
  for (int cycle = 1; cycle <= cycles; ++cycle) {
    const std::string log = dir / ("log-" + std::to_string(cycle));
    const pid_t child = StartWorker(dir / "db", log, cycle);
    // Most kills meet writes, however slow the machine; some meet the opening and its recovery.
    if (cycle % 8 != 0) WaitForFirstLine(log);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 80));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "cycle " << cycle << ": the worker ended by itself, status " << status;
    acknowledged += ApplyCrashLog(log, &states);

    OpenOptions options;
    options.create_if_missing = true;
    auto db = Database::Open(dir / "db", options);
    ASSERT_TRUE(db.ok()) << "cycle " << cycle << ": " << db.status();
    const auto docs = (*db)->GetCollection("docs");
    if (!docs.ok()) continue;  // killed before it was made
    uint64_t live = 0;
    for (auto& [id, possible] : states) {
      const int64_t state = StateOf(*docs, id);
      ASSERT_TRUE(possible.Allows(state)) << "cycle " << cycle << ", " << id << " is " << state << ", acknowledged "
                                          << possible.acknowledged;
      values[id].insert(state);
      for (int64_t value : possible.maybe) values[id].insert(value);
      if (cycle % 10 == 0) CheckKv(db->get(), id, state, values[id]);
      possible = {state, {}};
      live += state != kDeleted;
    }
    ASSERT_EQ(*docs->Count(), live) << "cycle " << cycle << ": documents that nobody wrote";
    if (cycle % 5 == 0 || cycle == cycles) {
      const auto report = (*db)->Verify();
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_THAT(report->problems, ::testing::ElementsAre()) << "cycle " << cycle;
      ++verified;
    }
    std::error_code error;
    std::filesystem::remove(log, error);
  }
  std::printf("%d kills, %llu acknowledged writes, %llu verifies, none lost\n", cycles,
              static_cast<unsigned long long>(acknowledged), static_cast<unsigned long long>(verified));
  EXPECT_GT(acknowledged, static_cast<uint64_t>(cycles));
}

}  // namespace
}  // namespace larder::testing
