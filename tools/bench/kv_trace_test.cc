#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tools/bench/kv_trace_file.h"
#include "tools/bench/kv_trace_replay.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& bytes)
      : path_((std::filesystem::path(testing::TempDir()) / name).string()) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

TEST(ReadKvTrace, CutsRequestsIntoBlocksOf512) {
  const TemporaryFile file("a.jsonl", "{\"input_length\": 1034, \"hash_ids\": [7, 8, 9]}\n"
                                      "{\"input_length\": 600, \"hash_ids\": [7, 10]}\n");
  const auto trace = ReadKvTrace(file.path(), "auto", 1).value();
  EXPECT_THAT(trace.requests, ElementsAre(0, 1, 2, 0, 3));
  EXPECT_THAT(trace.tokens, ElementsAre(512, 512, 10, 88));
}

TEST(ReadKvTrace, NamesTheMalformedLine) {
  const TemporaryFile file("b.jsonl", "{\"input_length\": 600, \"hash_ids\": [7, 10]}\n{\"input_length\": 512}\n");
  EXPECT_THAT(std::string(ReadKvTrace(file.path(), "auto", 1).status().message()), HasSubstr("line 2: expected"));
  const TemporaryFile more("c.jsonl", "{\"input_length\": 512, \"hash_ids\": [1, 2]}\n");
  EXPECT_EQ(ReadKvTrace(more.path(), "auto", 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ReadKvTrace, TakesQueriesWithOrWithoutNumbers) {
  const TemporaryFile file("q.txt", "1:carrots\n2:leeks: raw\n3:carrots\nleeks: raw\n");
  const auto trace = ReadKvTrace(file.path(), "auto", 1).value();
  EXPECT_THAT(trace.requests, ElementsAre(0, 1, 0, 1));
  ASSERT_EQ(trace.tokens.size(), 2u);
  EXPECT_THAT(trace.tokens, testing::Each(testing::AllOf(testing::Ge(64u), testing::Le(1'024u))));
  EXPECT_EQ(trace.tokens, ReadKvTrace(file.path(), "queries", 1)->tokens);
  EXPECT_NE(trace.tokens, ReadKvTrace(file.path(), "queries", 2)->tokens);
}

TEST(ReadKvTrace, TakesBigEndianIds) {
  const std::string bytes("\0\0\1\0" "\0\0\0\1" "\0\0\1\0", 12);
  const TemporaryFile file("ids.bin", bytes);
  EXPECT_THAT(ReadKvTrace(file.path(), "auto", 1)->requests, ElementsAre(0, 1, 0));
  const TemporaryFile odd("odd.bin", bytes.substr(1));
  EXPECT_THAT(std::string(ReadKvTrace(odd.path(), "auto", 1).status().message()), HasSubstr("multiple of 4"));
}

TEST(ReadKvTrace, RefusesADamagedXzStream) {
  const TemporaryFile file("cut.xz", std::string("\xfd" "7zXZ\0" "half a header", 19));
  EXPECT_EQ(ReadKvTrace(file.path(), "auto", 1).status().code(), absl::StatusCode::kDataLoss);
}

// a b c a b c with room for two of equal size.
KvTrace Loop() { return {{0, 1, 2, 0, 1, 2}, {10, 10, 10}, ""}; }
constexpr KvTraceCosts kByTheToken{1, 1.0};

TEST(Replay, CountsWhatIsComputedAgain) {
  const auto lru = kv::MakePolicy("lru", 2).value();
  const KvTraceTokens tokens = Replay(Loop(), kByTheToken, 20, lru.get());
  EXPECT_EQ(tokens.requested, 60u);
  EXPECT_EQ(tokens.first, 30u);
  EXPECT_EQ(tokens.recomputed, 30);  // LRU loses every time
  const auto roomy = kv::MakePolicy("lru", 3).value();
  EXPECT_EQ(Replay(Loop(), kByTheToken, 30, roomy.get()).recomputed, 0);
}

TEST(ReplayBelady, KeepsWhatReturnsSoonest) {
  EXPECT_EQ(ReplayBelady(Loop(), kByTheToken, 20).recomputed, 10);  // keeps a and b
  EXPECT_EQ(ReplayBelady(Loop(), kByTheToken, 30).recomputed, 0);
  EXPECT_EQ(ReplayBelady(Loop(), kByTheToken, 9).recomputed, 30);  // nothing fits
}

// Each hit costs 10 tokens for 3 steps; there is room for 20 * 6.
TEST(OfflineBound, SharesBytesAndTime) {
  EXPECT_EQ(OfflineBound(Loop(), kByTheToken, 20).recomputed, 0);       // 3 * 30 <= 120
  EXPECT_EQ(OfflineBound(Loop(), kByTheToken, 10).recomputed, 10);      // 60 buy two
  EXPECT_EQ(OfflineBound(Loop(), kByTheToken, 12).recomputed, 30 - 24);  // 72 buy two and 12 / 30
}

TEST(OfflineBound, IsBelowEveryPolicy) {
  KvTrace trace;
  uint32_t state = 1;
  for (int i = 0; i < 5'000; ++i) {
    state = state * 1'664'525 + 1'013'904'223;
    trace.requests.push_back((state >> 16) % (1 + (state >> 8) % 200));
  }
  for (uint32_t id = 0; id < 200; ++id) trace.tokens.push_back(1 + id % 9);
  for (const uint64_t bytes : {20, 60, 200}) {
    const double bound = OfflineBound(trace, kByTheToken, bytes).recomputed;
    EXPECT_LE(bound, ReplayBelady(trace, kByTheToken, bytes).recomputed);
    for (const std::string& name : kv::PolicyNames()) {
      const auto policy = kv::MakePolicy(name, bytes / 5).value();
      EXPECT_LE(bound, Replay(trace, kByTheToken, bytes, policy.get()).recomputed) << name;
    }
  }
}

}  // namespace
}  // namespace larder::tools
