#include "engine/kv/pool/kv_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_test_database.h"
#include "engine/kv/pool/lru_for_test.h"

namespace larder::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1 << 20;
const std::string& ProfileHex() {
  static const std::string* const kHex = new std::string(64, 'a');
  return *kHex;
}

struct Subject {
  std::string entry_key;
  EntryHeader header;
};

Subject MakeSubject(int seed, const std::string& tenant = "t") {
  const std::vector<int32_t> tokens = Tokens(seed);
  Subject subject;
  subject.entry_key = *EntryKey(tenant, ProfileHex(), tokens);
  subject.header.codec = "raw";
  subject.header.profile_id = ProfileHex();
  subject.header.tenant = tenant;
  subject.header.token_count = static_cast<uint32_t>(tokens.size());
  subject.header.tokens = EncodeTokens(tokens);
  return subject;
}

class KvPoolTest : public ::testing::Test {
 protected:
  void Make(uint64_t bytes) {
    pool_ = *KvPool::Create({.bytes = bytes,
                             .lease = absl::Seconds(10),
                             .clock = [this] { return absl::FromUnixMillis(now_ms_); },
                             .policy = [] { return std::make_unique<LruForTest>(); }});
  }

  // K and V of one layer, each of `bytes`, told apart by the seed.
  absl::Status Put(int seed, uint64_t bytes, const std::string& tenant = "t") {
    Subject subject = MakeSubject(seed, tenant);
    subject.header.bytes = 2 * bytes;
    const std::vector<uint64_t> lengths = {bytes, bytes};
    auto fill = pool_->Reserve(subject.entry_key, subject.header, lengths, 1.0);
    if (!fill.ok()) return fill.status();
    fill->Write(1, Payload(bytes, seed, 0, true));
    fill->Write(0, Payload(bytes, seed, 0, false));
    std::move(*fill).Publish();
    return absl::OkStatus();
  }

  absl::StatusOr<PoolGrant> Acquire(int seed, const std::string& tenant = "t", ClientId client = kThisProcess) {
    const Subject subject = MakeSubject(seed, tenant);
    return pool_->Acquire(client, subject.entry_key, subject.header);
  }

  static bool Reads(const PoolGrant& grant, int seed, uint64_t bytes) {
    const auto payloads = grant.segment->map().Payloads(grant.place, 2);
    return payloads.ok() && (*payloads)[0] == Payload(bytes, seed, 0, false) &&
           (*payloads)[1] == Payload(bytes, seed, 0, true);
  }
  bool Contains(int seed, const std::string& tenant = "t") {
    return pool_->Contains(MakeSubject(seed, tenant).entry_key);
  }

  std::atomic<int64_t> now_ms_ = 1'000'000;
  std::shared_ptr<KvPool> pool_;
};

TEST_F(KvPoolTest, GivesBackTheBytes) {
  Make(16 * kMiB);
  ASSERT_TRUE(Put(1, 5'000).ok());
  ASSERT_TRUE(Put(2, 70'001).ok());
  const PoolGrant one = *Acquire(1), two = *Acquire(2);
  EXPECT_TRUE(Reads(one, 1, 5'000));
  EXPECT_TRUE(Reads(two, 2, 70'001));
  EXPECT_EQ(one.layers, 1u);
  EXPECT_EQ(one.tokens, 16u);
  EXPECT_EQ(one.codec, "raw");
  EXPECT_THAT(pool_->Lookup({MakeSubject(1).entry_key, MakeSubject(3).entry_key, MakeSubject(2).entry_key}),
              ElementsAre(PoolHit{10'000, 16}, PoolHit{}, PoolHit{140'002, 16}));
  const KvPoolStats stats = pool_->Stats();
  EXPECT_EQ(stats.entries, 2u);
  EXPECT_EQ(stats.leases, 2u);
  EXPECT_EQ(stats.hits, 2u);
  EXPECT_LE(stats.segment_bytes, stats.capacity_bytes);
}

// Two token lists forced onto one hash: what is compared is the tokens.
TEST_F(KvPoolTest, ComparesTheSubjectAndDoesNotTrustTheKey) {
  Make(16 * kMiB);
  ASSERT_TRUE(Put(1, 100).ok());
  const Subject subject = MakeSubject(1);
  EntryHeader other = MakeSubject(2).header;
  EXPECT_EQ(pool_->Acquire(kThisProcess, subject.entry_key, other).status().code(), absl::StatusCode::kNotFound);
  other = subject.header;
  other.tenant = "u";
  EXPECT_EQ(pool_->Acquire(kThisProcess, subject.entry_key, other).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(pool_->Stats().misses, 2u);
}

TEST_F(KvPoolTest, EvictsWhatItsPolicyGivesUpAndNothingThatIsLeased) {
  Make(8 * kMiB);  // two segments of 4 MiB, each with room for three entries of 1.2 MiB
  const uint64_t bytes = 600 * 1024;
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Put(i, bytes).ok());
  EXPECT_EQ(pool_->Stats().evictions, 0u);
  const PoolGrant held = *Acquire(0);
  ASSERT_TRUE(pool_->Release(kThisProcess, Acquire(1)->lease).ok());
  for (int i = 6; i < 30; ++i) ASSERT_TRUE(Put(i, bytes).ok()) << i;
  EXPECT_TRUE(Contains(0));
  EXPECT_FALSE(Contains(1));
  EXPECT_TRUE(Contains(29));
  EXPECT_TRUE(Reads(held, 0, bytes));
  EXPECT_EQ(pool_->Stats().entries, 6u);
  EXPECT_EQ(pool_->Stats().evictions, 24u);
}

TEST_F(KvPoolTest, SaysThatThereIsNoRoomWhenAllIsLeased) {
  Make(4 * kMiB);
  const uint64_t bytes = 900 * 1024;
  ASSERT_TRUE(Put(1, bytes).ok());
  ASSERT_TRUE(Put(2, bytes).ok());
  const PoolGrant one = *Acquire(1), two = *Acquire(2);
  EXPECT_EQ(Put(3, bytes).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Put(4, 3 * kMiB).code(), absl::StatusCode::kResourceExhausted) << "larger than the pool";
  EXPECT_TRUE(Reads(one, 1, bytes) && Reads(two, 2, bytes));
  ASSERT_TRUE(pool_->Release(kThisProcess, one.lease).ok());
  EXPECT_TRUE(Put(3, bytes).ok());
  EXPECT_FALSE(Reads(one, 1, bytes)) << "its lease has ended, its memory was used again";
  EXPECT_EQ(one.segment->map().Payloads(one.place, 2).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KvPoolTest, TakesBackWhatAClientDoesNotRenew) {
  Make(4 * kMiB);
  const uint64_t bytes = 1'900 * 1024;
  const ClientId client = pool_->NewClient();
  ASSERT_TRUE(Put(1, bytes / 2).ok());
  const PoolGrant grant = *Acquire(1, "t", client);
  now_ms_ += 9'000;
  ASSERT_TRUE(pool_->Renew(client, grant.lease).ok());
  now_ms_ += 9'000;
  EXPECT_EQ(Put(2, bytes).code(), absl::StatusCode::kResourceExhausted);
  now_ms_ += 1'000;
  EXPECT_TRUE(Put(2, bytes).ok());
  const absl::Status late = pool_->Renew(client, grant.lease);
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(late.message()), HasSubstr("has ended"));
  EXPECT_FALSE(grant.segment->map().Holds(grant.place));
}

TEST_F(KvPoolTest, ADroppedEntryIsMissedAtOnceAndKeptForItsReader) {
  Make(8 * kMiB);
  const uint64_t bytes = 600 * 1024;
  ASSERT_TRUE(Put(1, bytes).ok());
  const ClientId client = pool_->NewClient();
  const PoolGrant grant = *Acquire(1, "t", client);
  pool_->Drop(MakeSubject(1).entry_key);
  EXPECT_EQ(Acquire(1).status().code(), absl::StatusCode::kNotFound);
  for (int i = 2; i < 20; ++i) ASSERT_TRUE(Put(i, bytes).ok());
  EXPECT_TRUE(Reads(grant, 1, bytes));
  ASSERT_TRUE(Put(1, 100).ok()) << "it may come again beside the old one";
  EXPECT_TRUE(Reads(*Acquire(1), 1, 100));
  EXPECT_TRUE(Reads(grant, 1, bytes));
  now_ms_ += 10'000;
  EXPECT_EQ(pool_->ExpireLeases(), 1u);
  EXPECT_FALSE(grant.segment->map().Holds(grant.place)) << "never longer than the lease";
}

TEST_F(KvPoolTest, ReleasesWhatADeadClientHeld) {
  Make(8 * kMiB);
  const ClientId client = pool_->NewClient(), other = pool_->NewClient();
  const uint64_t bytes = 300 * 1024;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Put(i, bytes).ok());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Acquire(i, "t", client).ok());
  const PoolGrant kept = *Acquire(0, "t", other);
  EXPECT_EQ(pool_->Stats().leases, 5u);
  pool_->ReleaseAll(client);
  EXPECT_EQ(pool_->Stats().leases, 1u);
  EXPECT_TRUE(pool_->Renew(other, kept.lease).ok());
}

TEST_F(KvPoolTest, OneClientCannotHoldAll) {
  Make(8 * kMiB);
  const ClientId client = pool_->NewClient();
  const uint64_t bytes = 600 * 1024;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Put(i, bytes).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Acquire(i, "t", client).ok());
  const auto refused = Acquire(3, "t", client);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("half of the pool"));
  EXPECT_TRUE(Acquire(3, "t", pool_->NewClient()).ok());
}

TEST_F(KvPoolTest, KeepsTenantsInSegmentsOfTheirOwn) {
  Make(32 * kMiB);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Put(i, 100'000, i % 2 == 0 ? "a" : "b").ok());
  uint64_t segments[2] = {Acquire(0, "a")->segment->id(), Acquire(1, "b")->segment->id()};
  EXPECT_NE(segments[0], segments[1]);
  for (int i = 0; i < 6; ++i) {
    const std::string tenant = i % 2 == 0 ? "a" : "b", foreign = i % 2 == 0 ? "b" : "a";
    EXPECT_EQ(Acquire(i, tenant)->segment->id(), segments[i % 2]);
    EXPECT_EQ(Acquire(i, foreign).status().code(), absl::StatusCode::kNotFound);
  }
}

// A tenant that came first does not keep the pool: newcomers get their share, in fresh memory.
TEST_F(KvPoolTest, SharesThePoolBetweenTenants) {
  Make(32 * kMiB);
  const uint64_t bytes = 450 * 1024;
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Put(i, bytes, "first").ok());
  EXPECT_GT(pool_->Stats().segment_bytes, 24 * kMiB);
  const PoolGrant old = *Acquire(59, "first");
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Put(i, bytes, "second").ok()) << i;
  int first = 0, second = 0;
  for (int i = 0; i < 60; ++i) {
    first += Contains(i, "first") ? 1 : 0;
    second += Contains(i, "second") ? 1 : 0;
  }
  EXPECT_GE(first, 12);
  EXPECT_GE(second, 12);
  EXPECT_TRUE(Reads(old, 59, bytes));
  EXPECT_LE(pool_->Stats().segment_bytes, 32 * kMiB);
  EXPECT_FALSE(old.segment->map().retired());
}

TEST_F(KvPoolTest, ManyTenantsMoreThanSegments) {
  Make(16 * kMiB);
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(Put(i, 50'000, absl::StrCat("tenant", i)).ok()) << i;
    EXPECT_TRUE(Contains(i, absl::StrCat("tenant", i)));
  }
  EXPECT_EQ(pool_->Stats().segment_bytes, 16 * kMiB);
}

TEST_F(KvPoolTest, ForgetsAFillThatIsNotPublished) {
  Make(4 * kMiB);
  Subject subject = MakeSubject(1);
  const std::vector<uint64_t> lengths = {kMiB, kMiB};
  {
    const auto fill = pool_->Reserve(subject.entry_key, subject.header, lengths, 1.0);
    ASSERT_TRUE(fill.ok());
    EXPECT_FALSE(Contains(1));
    EXPECT_EQ(Put(2, kMiB).code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(pool_->Stats().entry_bytes, 0u);
  EXPECT_TRUE(Put(2, kMiB).ok());
}

TEST_F(KvPoolTest, OfTwoFillsTheFirstPublishedStays) {
  Make(16 * kMiB);
  Subject subject = MakeSubject(1);
  const std::vector<uint64_t> lengths = {100, 100};
  auto late = *pool_->Reserve(subject.entry_key, subject.header, lengths, 1.0);
  ASSERT_TRUE(Put(1, 100).ok());
  const uint64_t generation = Acquire(1)->place.generation;
  late.Write(0, std::string(100, 'x'));
  std::move(late).Publish();
  EXPECT_EQ(Acquire(1)->place.generation, generation);
  EXPECT_EQ(pool_->Stats().entries, 1u);
}

TEST_F(KvPoolTest, RefusesOptionsAndPayloadsOutOfRange) {
  const auto policy = [] { return std::make_unique<LruForTest>(); };
  EXPECT_EQ(KvPool::Create({.bytes = kMiB, .policy = policy}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(KvPool::Create({.bytes = 16 * kMiB, .lease = absl::ZeroDuration(), .policy = policy}).status().code(),
            absl::StatusCode::kInvalidArgument);
  Make(16 * kMiB);
  const Subject subject = MakeSubject(1);
  for (const size_t payloads : {0u, 3u, 2'050u}) {
    EXPECT_EQ(pool_->Reserve(subject.entry_key, subject.header, std::vector<uint64_t>(payloads, 8), 1)
                  .status().code(), absl::StatusCode::kInvalidArgument) << payloads;
  }
}

// Payloads that say whose they are and carry their checksum: eight words of seed, then a sum.
std::string Sealed(int seed, uint64_t bytes) {
  std::string payload(bytes, '\0');
  uint64_t state = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15 + 1, sum = 0;
  for (uint64_t at = 8; at + 8 <= bytes; at += 8) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    std::memcpy(payload.data() + at, &state, 8);
    sum += state;
  }
  std::memcpy(payload.data(), &sum, 8);
  return payload;
}
bool SealHolds(int seed, absl::string_view payload) {
  uint64_t state = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15 + 1, sum = 0, found = 0, word = 0;
  for (uint64_t at = 8; at + 8 <= payload.size(); at += 8) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    std::memcpy(&word, payload.data() + at, 8);
    sum += word;
    if (word != state) return false;
  }
  std::memcpy(&found, payload.data(), 8);
  return found == sum;
}

// Readers, writers and droppers at once, in half the room that all entries would need. Every view that a
// reader holds has its own bytes from the first look to the last. LARDER_KV_READS: how many (long form).
TEST_F(KvPoolTest, EveryViewIsRightWhileEntriesComeAndGo) {
  const char* const wanted = std::getenv("LARDER_KV_READS");
  const int64_t reads = wanted == nullptr ? 20'000 : std::atoll(wanted);
  Make(16 * kMiB);
  constexpr int kEntries = 400;
  const auto put = [&](int seed) {
    const Subject subject = MakeSubject(seed);
    const uint64_t bytes = 8'000 + static_cast<uint64_t>(seed % 17) * 4'000;
    const std::vector<uint64_t> lengths = {bytes, bytes};
    auto fill = pool_->Reserve(subject.entry_key, subject.header, lengths, 1.0);
    if (!fill.ok()) return;
    fill->Write(0, Sealed(seed, bytes));
    fill->Write(1, Sealed(~seed, bytes));
    std::move(*fill).Publish();
  };
  std::atomic<int64_t> done = 0, wrong = 0;
  const auto read = [&](int thread) {
    std::mt19937 random(thread);
    const ClientId client = pool_->NewClient();
    while (done.load() < reads) {
      const int seed = static_cast<int>(random() % kEntries);
      const auto grant = Acquire(seed, "t", client);
      if (!grant.ok()) {
        put(seed);
        if (random() % 64 == 0) pool_->Drop(MakeSubject(static_cast<int>(random() % kEntries)).entry_key);
        continue;
      }
      const auto payloads = grant->segment->map().Payloads(grant->place, 2);
      const bool right = payloads.ok() && SealHolds(seed, (*payloads)[0]) && SealHolds(~seed, (*payloads)[1]) &&
                         grant->segment->map().Holds(grant->place);
      if (!right) ++wrong;
      ++done;
      EXPECT_TRUE(pool_->Release(client, grant->lease).ok());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(read, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GE(done.load(), reads);
  EXPECT_GT(pool_->Stats().evictions, 100u);
  EXPECT_EQ(pool_->Stats().leases, 0u);
  RecordProperty("reads", static_cast<int>(done.load()));
}

}  // namespace
}  // namespace larder::kv
