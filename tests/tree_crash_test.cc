// kill -9 while a tree is written, folded, split and built anew: what was acknowledged is in it, nothing else is, and
// it finds what a comparison with all rows finds.
//   LARDER_TREE_CRASH_CYCLES=1000 tree_crash_test   the longer run
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/support/crash_log.h"
#include "tests/support/crash_process.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

constexpr size_t kFillers = 2500;  // enough for a tree
constexpr uint32_t kMost = 10'000;

OpenOptions Options() {
  OpenOptions options;
  options.create_if_missing = true;
  return options;
}

void MakeDatabase(const std::string& path, bool built) {
  auto db = Database::Open(path, Options());
  ASSERT_TRUE(db.ok()) << db.status();
  auto docs = (*db)->CreateCollection("docs", VectorsOnly(8, IndexKind::kTree));
  ASSERT_TRUE(docs.ok()) << docs.status();
  std::mt19937_64 random(7);
  std::vector<Document> fillers;
  for (size_t i = 0; i < kFillers; ++i) fillers.push_back(DocumentOf("filler-" + std::to_string(i), RandomVector(8, random)));
  ASSERT_TRUE(docs->Upsert(fillers).ok());
  if (!built) return;
  ASSERT_TRUE((*db)->Compact().ok());
}

int64_t StateOf(const Collection& docs, const std::string& id) {
  const auto document = docs.Get(id);
  if (absl::IsNotFound(document.status())) return kDeleted;
  EXPECT_TRUE(document.ok()) << id << ": " << document.status();
  return document.ok() ? std::get<int64_t>(document->metadata.at("value").values[0]) : -2;
}

SearchReply Search(const Collection& docs, const std::vector<float>& vector, uint32_t k, bool exact) {
  SearchRequest request;
  request.vector = vector;
  request.k = k;
  request.exact = exact;
  if (!exact) request.target_recall = 0.99;
  request.include_text = false;
  const auto reply = docs.Search(request);
  EXPECT_TRUE(reply.ok()) << reply.status();
  return reply.ok() ? *reply : SearchReply();
}

// The tree itself holds every chunk once: it does not come short, and it finds what is near.
void CheckTree(const Collection& docs, std::mt19937_64* random) {
  const CollectionInfo info = docs.Info();
  const SearchReply all = Search(docs, RandomVector(8, *random), kMost, false);
  EXPECT_EQ(all.plan, "tree");
  EXPECT_EQ(all.hits.size(), info.chunks);
  EXPECT_EQ(info.spaces[0].vectors, info.chunks);
  size_t found = 0;
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = RandomVector(8, *random);
    const SearchReply reply = Search(docs, query, 10, false), truth = Search(docs, query, 10, true);
    ASSERT_EQ(reply.hits.size(), 10u);
    for (const Hit& hit : reply.hits) {
      found += std::any_of(truth.hits.begin(), truth.hits.end(), [&](const Hit& t) { return t.vid == hit.vid; });
    }
  }
  EXPECT_GE(found, 90u);
}

void RunCycles(int cycles, bool built) {
  const TempDir dir;
  MakeDatabase(dir / "db", built);
  std::mt19937_64 random(20261123);
  std::map<std::string, PossibleStates> states;
  uint64_t acknowledged = 0, trees = 0;
  for (int cycle = 1; cycle <= cycles; ++cycle) {
    const std::string log = dir / ("log-" + std::to_string(cycle));
    const pid_t child = StartCrashWorker(dir / "db", log, cycle);
    if (cycle % 4 != 0) WaitForFirstLine(log);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "cycle " << cycle << ": the worker ended by itself, status " << status;
    acknowledged += ApplyCrashLog(log, &states);

    auto db = Database::Open(dir / "db", Options());
    ASSERT_TRUE(db.ok()) << "cycle " << cycle << ": " << db.status();
    const Collection docs = *(*db)->GetCollection("docs");
    uint64_t live = kFillers;
    for (auto& [id, possible] : states) {
      const int64_t state = StateOf(docs, id);
      ASSERT_TRUE(possible.Allows(state)) << "cycle " << cycle << ", " << id << " is " << state << ", acknowledged "
                                          << possible.acknowledged;
      possible = {state, {}};
      live += state != kDeleted;
    }
    ASSERT_EQ(*docs.Count(), live) << "cycle " << cycle << ": documents that nobody wrote";
    if (cycle == cycles) {
      ASSERT_TRUE((*db)->Compact().ok());
    }
    if (docs.Info().spaces[0].serving == IndexKind::kTree) {
      ++trees;
      CheckTree(docs, &random);
    }
    if (cycle % 5 == 0 || cycle == cycles) {
      const auto report = (*db)->Verify();
      ASSERT_TRUE(report.ok()) << report.status();
      ASSERT_THAT(report->problems, ::testing::ElementsAre()) << "cycle " << cycle;
    }
    if (::testing::Test::HasFailure()) FAIL() << "cycle " << cycle;
  }
  EXPECT_GT(acknowledged, static_cast<uint64_t>(cycles));
  EXPECT_GT(trees, 0u);
  std::printf("%d kills, %llu acknowledged writes, %llu times a tree was compared\n", cycles,
              static_cast<unsigned long long>(acknowledged), static_cast<unsigned long long>(trees));
}

int Cycles(int usual) {
  const char* wanted = std::getenv("LARDER_TREE_CRASH_CYCLES");
  return wanted != nullptr ? std::atoi(wanted) : usual;
}

TEST(TreeCrash, WhatWasAcknowledgedIsInTheTree) { RunCycles(Cycles(30), true); }

// Kills meet the build: it goes on from where it was, with what was written meanwhile.
TEST(TreeCrash, AKilledBuildGoesOn) {
  for (int i = 0; i < Cycles(30) / 6; ++i) RunCycles(3, false);
}

}  // namespace
}  // namespace larder::testing
