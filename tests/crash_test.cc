// kill -9 at random times, hundreds of times: no acknowledged write is lost, nothing that was never
// written appears, every open succeeds, and verify finds store, indexes and KV in agreement.
//   LARDER_CRASH_CYCLES=10000 crash_test    the longer run
//   LARDER_CRASH_READS=1000000 crash_test   compares so many reads of KV, after kills
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/support/crash_kv.h"
#include "tests/support/crash_log.h"
#include "tests/support/crash_process.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

int64_t StateOf(const Collection& docs, const std::string& id) {
  const auto document = docs.Get(id, "", true);
  if (absl::IsNotFound(document.status())) return kDeleted;
  EXPECT_TRUE(document.ok()) << id << ": " << document.status();
  if (!document.ok()) return -2;
  EXPECT_EQ(document->text, "source of " + id);
  EXPECT_FALSE(document->chunks.empty());
  return std::get<int64_t>(document->metadata.at("value").values[0]);
}

// A KV entry may be there only while its document is in the state that it was made for. Appends those that
// are there to `found`, by codec, and counts those that were demoted.
void CheckKv(Database* db, const std::string& id, int64_t state, const std::set<int64_t>& older,
             std::vector<std::pair<std::string, KvKey>>* found, uint64_t* demoted) {
  for (const char* codec : kCrashCodecs) {
    const std::string profile_id = *db->kv().RegisterProfile(CrashProfile(codec));
    std::vector<KvKey> keys;
    std::vector<int64_t> values;
    for (int64_t value : older) {
      if (value == kDeleted) continue;
      keys.push_back(CrashKey(profile_id, id, value, kDemotableTokens));
      values.push_back(value);
    }
    const auto lookups = db->kv().Lookup(keys);
    ASSERT_TRUE(lookups.ok()) << lookups.status();
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!(*lookups)[i].hit) continue;
      EXPECT_EQ(values[i], state) << "KV of " << id << " outlived its document's version";
      found->push_back({codec, keys[i]});
      const KvProfile raw = CrashProfile("raw");
      const uint64_t raw_bytes = 2 * raw.layers * raw.LayerBytes(keys[i].tokens.size());
      *demoted += codec == std::string("raw") && (*lookups)[i].bytes < raw_bytes;
    }
  }
}

// Reads entries again and again until `wanted` reads have been compared; 0 = each once.
void CheckReads(Database* db, const std::vector<std::pair<std::string, KvKey>>& entries, uint64_t wanted,
                uint64_t* reads) {
  const uint64_t until = *reads + wanted;
  do {
    for (const auto& [codec, key] : entries) {
      ASSERT_EQ(CrashDifference(db->kv(), codec, key, reads), "") << codec;
    }
  } while (*reads < until && !entries.empty());
}

TEST(Crash, NoAcknowledgedWriteIsLost) {
  const char* wanted = std::getenv("LARDER_CRASH_CYCLES");
  const int cycles = wanted != nullptr ? std::atoi(wanted) : 300;
  const TempDir dir;
  std::mt19937_64 random(20261122);
  std::map<std::string, PossibleStates> states;  // over all cycles
  std::map<std::string, std::set<int64_t>> values;
  uint64_t acknowledged = 0, verified = 0, kv_entries = 0, kv_reads = 0, kv_demoted = 0;
  const char* reads_wanted = std::getenv("LARDER_CRASH_READS");
  const uint64_t reads_a_check = reads_wanted != nullptr ? std::strtoull(reads_wanted, nullptr, 10) * 10 / cycles : 0;
  for (int cycle = 1; cycle <= cycles; ++cycle) {
    const std::string log = dir / ("log-" + std::to_string(cycle));
    const pid_t child = StartCrashWorker(dir / "db", log, cycle);
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
    std::vector<std::pair<std::string, KvKey>> entries;
    for (auto& [id, possible] : states) {
      const int64_t state = StateOf(*docs, id);
      ASSERT_TRUE(possible.Allows(state)) << "cycle " << cycle << ", " << id << " is " << state << ", acknowledged "
                                          << possible.acknowledged;
      values[id].insert(state);
      for (int64_t value : possible.maybe) values[id].insert(value);
      if (cycle % 10 == 0) CheckKv(db->get(), id, state, values[id], &entries, &kv_demoted);
      possible = {state, {}};
      live += state != kDeleted;
    }
    CheckReads(db->get(), entries, reads_a_check, &kv_reads);
    if (HasFatalFailure()) return;
    kv_entries += entries.size();
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
  std::printf("%d kills, %llu acknowledged writes, %llu verifies, none lost; %llu KV entries met, %llu of them demoted, "
              "%llu reads compared, no wrong byte\n",
              cycles, static_cast<unsigned long long>(acknowledged), static_cast<unsigned long long>(verified),
              static_cast<unsigned long long>(kv_entries), static_cast<unsigned long long>(kv_demoted),
              static_cast<unsigned long long>(kv_reads));
  if (cycles >= 100) {
    EXPECT_GT(kv_entries, 0u) << "no kill met a KV entry: nothing of them was checked";
    EXPECT_GT(kv_demoted, 0u) << "no demotion was met";
  }
  EXPECT_GT(acknowledged, static_cast<uint64_t>(cycles));
}

}  // namespace
}  // namespace larder::testing
