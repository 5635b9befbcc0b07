#include "rpc/kv_local_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_test_database.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

std::string Bytes(const std::vector<int32_t>& tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size() * 4};
}

class KvLocalSessionTest : public ::testing::Test {
 protected:
  KvLocalSessionTest() : db_(1 << 20, 16 << 20), session_(&db_.impl()) {}

  void Hello(const std::string& tenant = "t") {
    v1::LocalRequest request;
    request.mutable_hello()->set_version(kLocalVersion);
    request.mutable_hello()->set_tenant(tenant);
    ASSERT_FALSE(Serve(request).has_status());
  }
  v1::LocalReply Serve(const v1::LocalRequest& request) {
    v1::LocalReply reply;
    EXPECT_TRUE(session_.Serve(request.SerializeAsString(), &reply, &segments_));
    return reply;
  }
  v1::LocalRequest AcquireOf(const std::vector<int>& seeds) {
    v1::LocalRequest request;
    request.mutable_acquire()->set_profile_id(db_.profile_id());
    for (const int seed : seeds) request.mutable_acquire()->add_keys()->set_tokens(Bytes(kv::Tokens(seed)));
    return request;
  }
  v1::LocalRequest LookupOf(const std::vector<int>& seeds) {
    v1::LocalRequest request;
    request.mutable_lookup()->set_profile_id(db_.profile_id());
    for (const int seed : seeds) {
      request.mutable_lookup()->mutable_token_hashes()->append(kv::TokenHash(kv::Tokens(seed)));
      request.mutable_lookup()->add_token_counts(16);
    }
    return request;
  }

  kv::TestDatabase db_;
  KvLocalSession session_;
  std::vector<std::shared_ptr<const kv::Segment>> segments_;
};

TEST_F(KvLocalSessionTest, WantsToKnowTheTenantFirstAndOnce) {
  const v1::LocalReply early = Serve(AcquireOf({1}));
  EXPECT_THAT(early.status().message(), HasSubstr("expected Hello first"));
  Hello();
  v1::LocalRequest again;
  again.mutable_hello()->set_version(kLocalVersion);
  again.mutable_hello()->set_tenant("u");
  EXPECT_THAT(Serve(again).status().message(), HasSubstr("Hello stands twice"));
}

TEST_F(KvLocalSessionTest, GrantsWithOneDescriptorASegment) {
  ASSERT_TRUE(db_.Put(db_.Key(1, "t"), 1).ok());
  ASSERT_TRUE(db_.Put(db_.Key(2, "t"), 2).ok());
  Hello();
  const v1::LocalReply reply = Serve(AcquireOf({1, 3, 2}));
  ASSERT_EQ(reply.acquire().grants_size(), 3);
  EXPECT_EQ(segments_.size(), 1u);
  EXPECT_EQ(reply.acquire().segments(0).id(), reply.acquire().grants(0).segment());
  EXPECT_EQ(reply.acquire().grants(1).status().code(), static_cast<int>(absl::StatusCode::kNotFound));
  EXPECT_EQ(reply.acquire().grants(2).layers(), 3u);
  const v1::LocalReply second = Serve(AcquireOf({1}));
  EXPECT_EQ(second.acquire().segments_size(), 0) << "the peer has it already";
  EXPECT_EQ(db_.impl().pool()->Stats().leases, 3u);
}

TEST_F(KvLocalSessionTest, AnotherTenantsKeysNeverHit) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(db_.Put(db_.Key(i, "u"), i).ok());
  Hello("t");
  const std::vector<int> seeds = {0, 1, 2, 3, 4, 5, 6, 7};
  const v1::LocalReply lookup = Serve(LookupOf(seeds)), acquire = Serve(AcquireOf(seeds));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(lookup.lookup().bytes(i), 0u);
    EXPECT_EQ(acquire.acquire().grants(i).status().code(), static_cast<int>(absl::StatusCode::kNotFound));
  }
  EXPECT_TRUE(segments_.empty());
}

TEST_F(KvLocalSessionTest, LookupComparesTheCountAndSaysHowLarge) {
  ASSERT_TRUE(db_.Put(db_.Key(1, "t"), 1).ok());
  Hello();
  v1::LocalRequest request = LookupOf({1, 2, 1});
  request.mutable_lookup()->set_token_counts(2, 17);
  const v1::LocalReply reply = Serve(request);
  EXPECT_THAT(reply.lookup().bytes(), ::testing::ElementsAre(3u * 2 * 512, 0, 0));
}

TEST_F(KvLocalSessionTest, RefusesWhatDoesNotFit) {
  Hello();
  const auto message = [&](const v1::LocalRequest& request) { return Serve(request).status().message(); };
  EXPECT_THAT(message(LookupOf(std::vector<int>(1'025, 1))), HasSubstr("found 1025 keys, expected at most 1024"));
  EXPECT_THAT(message(AcquireOf(std::vector<int>(129, 1))), HasSubstr("found 129 keys, expected at most 128"));
  v1::LocalRequest request = LookupOf({1, 2});
  request.mutable_lookup()->mutable_token_hashes()->pop_back();
  EXPECT_THAT(message(request), HasSubstr("63 bytes, expected 64 for 2 keys"));
  request = LookupOf({1});
  request.mutable_lookup()->set_profile_id("zz");
  EXPECT_THAT(message(request), HasSubstr("profile"));
  request = AcquireOf({1});
  request.mutable_acquire()->mutable_keys(0)->set_tokens("abc");
  EXPECT_THAT(Serve(request).acquire().grants(0).status().message(), HasSubstr("expected a multiple of 4"));
  request.mutable_acquire()->mutable_keys(0)->set_tokens(Bytes({1, -1}));
  EXPECT_THAT(Serve(request).acquire().grants(0).status().message(), HasSubstr("token 1 is -1"));
  request = AcquireOf({1});
  request.mutable_acquire()->mutable_keys(0)->set_variant_kind(9);
  EXPECT_THAT(Serve(request).acquire().grants(0).status().message(), HasSubstr("variant 9"));
}

TEST_F(KvLocalSessionTest, ALeaseThatEndedIsRefusedByName) {
  ASSERT_TRUE(db_.Put(db_.Key(1, "t"), 1).ok());
  Hello();
  const uint64_t lease = Serve(AcquireOf({1})).acquire().grants(0).lease();
  v1::LocalRequest renew;
  renew.mutable_renew()->add_leases(lease);
  renew.mutable_renew()->add_leases(lease + 1);
  db_.Advance(absl::Seconds(29));
  const v1::LocalReply renewed = Serve(renew);
  EXPECT_EQ(renewed.renew().statuses(0).code(), 0);
  EXPECT_THAT(renewed.renew().statuses(1).message(), HasSubstr("has ended"));
  db_.Advance(absl::Seconds(29));
  EXPECT_EQ(Serve(renew).renew().statuses(0).code(), 0);
  db_.Advance(absl::Seconds(31));
  const v1::LocalReply late = Serve(renew);
  EXPECT_EQ(late.renew().statuses(0).code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(late.renew().statuses(0).message(), HasSubstr("kv lease 1 has ended"));
}

TEST_F(KvLocalSessionTest, CannotTouchAnothersLeases) {
  ASSERT_TRUE(db_.Put(db_.Key(1, "t"), 1).ok());
  Hello();
  const uint64_t lease = Serve(AcquireOf({1})).acquire().grants(0).lease();
  KvLocalSession other(&db_.impl());
  v1::LocalRequest request;
  v1::LocalReply reply;
  request.mutable_hello()->set_version(kLocalVersion);
  ASSERT_TRUE(other.Serve(request.SerializeAsString(), &reply, &segments_));
  request.mutable_release()->add_leases(lease);
  ASSERT_TRUE(other.Serve(request.SerializeAsString(), &reply, &segments_));
  EXPECT_EQ(reply.release().released(), 0u);
  EXPECT_EQ(Serve(request).release().released(), 1u);
}

// Random bytes, and sound messages with bytes changed, cut off or added. LARDER_KV_FUZZ_SECONDS: how long.
TEST_F(KvLocalSessionTest, AnswersWhateverComes) {
  const char* const wanted = std::getenv("LARDER_KV_FUZZ_SECONDS");
  const absl::Time until = absl::Now() + absl::Seconds(wanted == nullptr ? 2 : std::atoi(wanted));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(db_.Put(db_.Key(i, "t"), i).ok());
  Hello();
  std::vector<v1::LocalRequest> seeds = {AcquireOf({0, 1, 9}), LookupOf({0, 1, 9})};
  seeds.emplace_back().mutable_renew()->add_leases(1);
  seeds.emplace_back().mutable_release()->add_leases(1);
  seeds.emplace_back().mutable_stats();
  seeds.emplace_back().mutable_get_profile()->set_profile_id(db_.profile_id());
  std::mt19937 random(11);
  int64_t refused = 0, answered = 0;
  while (absl::Now() < until) {
    std::string packet;
    if (random() % 8 == 0) {
      packet.resize(random() % 300);
      for (char& c : packet) c = static_cast<char>(random());
    } else {
      packet = seeds[random() % seeds.size()].SerializeAsString();
      for (uint32_t i = random() % 4; i > 0; --i) packet[random() % packet.size()] = static_cast<char>(random());
      if (random() % 4 == 0) packet.resize(random() % (packet.size() + 16));
    }
    v1::LocalReply reply;
    const bool sound = session_.Serve(packet, &reply, &segments_);
    ASSERT_TRUE(sound || reply.status().code() != 0);
    ++(sound ? answered : refused);
    if (random() % 64 == 0) {  // or its leases would fill the client's share
      v1::LocalRequest release;
      for (const auto& grant : reply.acquire().grants()) release.mutable_release()->add_leases(grant.lease());
      Serve(release.has_release() ? release : seeds[4]);
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(answered, 100);
  const v1::LocalReply after = Serve(LookupOf({0, 1}));
  EXPECT_THAT(after.lookup().bytes(), ::testing::ElementsAre(3'072, 3'072));
  RecordProperty("packets", static_cast<int>(refused + answered));
}

}  // namespace
}  // namespace larder
