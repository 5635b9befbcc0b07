// KV entries from shared memory, through larderd's Unix socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "engine/kv/pool/segment_map.h"
#include "larder/client.h"
#include "larder/v1/kv_local.pb.h"
#include "proto/packet_socket.h"
#include "tests/support/kv_socket_fixture.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

TEST_F(KvSocketTest, ReadsWhatWasPutWithoutCopyingIt) {
  Serve();
  ASSERT_TRUE(Put(1).ok() && Put(2).ok());
  const auto client = Connect();
  const std::vector<std::vector<int32_t>> chunks = {Tokens(1), Tokens(3), Tokens(2)};
  const auto found = *client->Lookup(db_->profile_id(), chunks);
  EXPECT_TRUE(found[0].hit && !found[1].hit && found[2].hit);
  EXPECT_EQ(found[0].bytes, 6 * kPayload);
  auto leases = client->Acquire(db_->profile_id(), chunks);
  ASSERT_EQ(leases.size(), 3u);
  EXPECT_EQ(Difference(*leases[0], 1), "");
  EXPECT_EQ(leases[1].status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Difference(*leases[2], 2), "");
  auto again = Acquire(*client, 1);
  EXPECT_EQ(again->Layer(0)->k.data(), leases[0]->Layer(0)->k.data());
  std::vector<std::byte> copy(leases[0]->bytes());
  ASSERT_TRUE(leases[0]->CopyTo(absl::MakeSpan(copy)).ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(copy.data()) + 5 * kPayload, kPayload), Payload(kPayload, 1, 2, true));
  EXPECT_EQ(leases[0]->CopyTo(absl::MakeSpan(copy).subspan(1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Leases(), 3u);
  leases.clear();
  again->Release();
  EXPECT_EQ(Leases(), 0u);
  EXPECT_THAT(std::string(again->Layer(0).status().message()), HasSubstr("it was released"));
}

TEST_F(KvSocketTest, AViewFaultsWhenItIsWrittenTo) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Serve();
  ASSERT_TRUE(Put(1).ok());
  const auto client = Connect();
  auto lease = *Acquire(*client, 1);
  EXPECT_DEATH(*const_cast<char*>(lease.Layer(0)->k.data()) = 'x', "");
}

TEST_F(KvSocketTest, DecodesIntoTheCallersPagesAsTheEngineReads) {
  Serve();
  ASSERT_TRUE(Put(1).ok());
  const auto client = Connect();
  auto lease = *Acquire(*client, 1);
  const auto rotation = lease.RotationTo(100);
  ASSERT_TRUE(rotation.ok()) << rotation.status();
  std::string k(kPayload, '\0'), v(kPayload, '\0');
  const auto target = [](std::string& out) {
    return kv::ContiguousTarget({reinterpret_cast<std::byte*>(out.data()), out.size()}, KvDtype::kF16, 2, 8);
  };
  ASSERT_TRUE(lease.Decode(1, kv::KvSide::kKey, {}, &*rotation, target(k)).ok());
  ASSERT_TRUE(lease.Decode(1, kv::KvSide::kValue, {}, &*rotation, target(v)).ok());
  EXPECT_EQ(v, Payload(kPayload, 1, 1, true));
  const KvReadRequest request{.key = db_->Key(1, "t"), .first_layer = 1, .layers = 1, .rotate_to = 100};
  std::string expected;
  ASSERT_TRUE(db_->kv().Read({&request, 1}, [&](const KvLayerRead& read) {
    expected = std::string(read.k);
    return read.status.ok();
  }).ok());
  EXPECT_EQ(k, expected);
  EXPECT_NE(k, Payload(kPayload, 1, 1, false));
}

TEST_F(KvSocketTest, UseRenewsALeaseAndALeaseThatEndedIsRefusedByName) {
  Serve();
  ASSERT_TRUE(Put(1).ok());
  const auto client = Connect();
  auto lease = *Acquire(*client, 1);
  for (int i = 0; i < 6; ++i) {  // 2 minutes of slow reading, a lease of 30 s
    now_ms_ += 20'000;
    db_->Advance(absl::Seconds(20));
    EXPECT_EQ(Difference(lease, 1), "") << i;
  }
  now_ms_ += 31'000;
  const auto late = lease.Layer(0);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(late.status().message()), ::testing::ContainsRegex("kv lease [0-9]+ has ended"));
  std::vector<std::byte> copy(lease.bytes());
  EXPECT_EQ(lease.CopyTo(absl::MakeSpan(copy)).code(), absl::StatusCode::kFailedPrecondition);
}

// A client whose clock stands still believes in its lease for ever: the memory says otherwise.
TEST_F(KvSocketTest, MemoryThatWasUsedAgainNeverPassesForTheEntry) {
  Serve(4 << 20);
  ASSERT_TRUE(Put(0).ok());
  const auto client = Connect();
  auto lease = *Acquire(*client, 0);
  db_->Advance(absl::Seconds(31));
  for (int i = 1; lease.Check().ok() && i < 2'000; ++i) ASSERT_TRUE(Put(i).ok());
  const auto layer = lease.Layer(0);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(layer.status().message()), HasSubstr("its memory was used again"));
  std::vector<std::byte> copy(lease.bytes());
  EXPECT_EQ(lease.CopyTo(absl::MakeSpan(copy)).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KvSocketTest, ADocumentsDeletionIsSeenAtOnceAndItsReaderKeepsTheBytes) {
  Serve();
  const uint64_t chunk = 7;
  ASSERT_TRUE(Put(1, "t", {db_->AddChunk(chunk, "t")}).ok());
  const auto client = Connect(), other = Connect();
  auto lease = *Acquire(*client, 1);
  ASSERT_TRUE(db_->DeleteChunks({&chunk, 1}, "t").ok());
  EXPECT_EQ(Acquire(*client, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Acquire(*other, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE((*other->Lookup(db_->profile_id(), std::vector<std::vector<int32_t>>{Tokens(1)}))[0].hit);
  for (int i = 10; i < 40; ++i) ASSERT_TRUE(Put(i).ok());
  EXPECT_EQ(Difference(lease, 1), "");
  db_->Advance(absl::Seconds(31));
  db_->impl().ExpireLeases();
  EXPECT_FALSE(lease.Check().ok()) << "never longer than the lease";
}

// All bytes of all segments that a client is given, searched for all bytes of another tenant.
TEST_F(KvSocketTest, ATenantIsNeverGivenAnothersSegments) {
  Serve();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Put(i, i % 2 == 0 ? "a" : "b").ok());
  PacketFd socket = *ConnectPackets(options_.path);
  ASSERT_TRUE(PreparePackets(socket.get(), absl::Seconds(10), absl::Seconds(10)).ok());
  std::string buffer;
  std::vector<PacketFd> fds;
  v1::LocalRequest hello, acquire;
  hello.mutable_hello()->set_version(1);
  hello.mutable_hello()->set_tenant("a");
  acquire.mutable_acquire()->set_profile_id(db_->profile_id());
  for (int i = 0; i < 20; ++i) {
    const std::vector<int32_t> tokens = Tokens(i);
    acquire.mutable_acquire()->add_keys()->set_tokens(std::string(reinterpret_cast<const char*>(tokens.data()), 64));
  }
  for (const auto& request : {hello, acquire}) {
    ASSERT_TRUE(SendPacket(socket.get(), request.SerializeAsString()).ok());
    const auto received = ReceivePacket(socket.get(), &buffer, &fds);
    ASSERT_TRUE(received.ok());
    v1::LocalReply reply;
    ASSERT_TRUE(reply.ParseFromString(std::string(*received)));
    if (!reply.has_acquire()) continue;
    ASSERT_EQ(fds.size(), 1u);
    const auto map = *kv::SegmentMap::Map(fds[0].get(), reply.acquire().segments(0).id(), reply.acquire().segments(0).bytes());
    const absl::string_view memory(reinterpret_cast<const char*>(map->base()), map->bytes());
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(reply.acquire().grants(i).has_status(), i % 2 != 0) << i;
      const bool seen = memory.find(Payload(kPayload, i, 0, false)) != absl::string_view::npos;
      EXPECT_EQ(seen, i % 2 == 0) << i;
    }
  }
}

// The server as it is run: put over gRPC, read from shared memory.
TEST_F(KvSocketTest, LarderdPassesItsSharedMemory) {
  const std::string output = directory_.path("listening");
  Child larderd({LARDERD_PATH, "--db", directory_.path("db"), "--create", "--listen", "127.0.0.1:0", "--port-file", output,
                 "--kv-pool-mb", "16", "--kv-socket", options_.path}, directory_.path("out"));
  const auto address = [&] {
    std::string text;
    std::ifstream(output) >> text;
    return text;
  };
  ASSERT_TRUE(WaitFor([&] { return !address().empty(); }));
  const auto remote = Client::Connect({.address = address()});
  const std::string profile_id = *(*remote)->kv().RegisterProfile(kv::SmallProfile());
  const KvKey key{"t", profile_id, Tokens(1)};
  const auto handle = (*remote)->kv().PutBegin({.key = key});
  ASSERT_TRUE(handle.ok()) << handle.status();
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE((*remote)->kv().PutLayer(*handle, i, Payload(kPayload, 1, i, false), Payload(kPayload, 1, i, true)).ok());
  }
  ASSERT_TRUE((*remote)->kv().PutCommit(*handle).ok());
  const auto client = Connect();
  auto leases = client->Acquire({&key, 1});
  ASSERT_TRUE(leases[0].ok()) << leases[0].status();
  EXPECT_EQ(Difference(*leases[0], 1), "");
  EXPECT_EQ(client->GetProfile(profile_id)->model, "small");
  const LocalKvStats stats = *client->Stats();
  EXPECT_EQ(stats.capacity_bytes, 16u << 20);
  EXPECT_EQ(stats.entries, 1u);
  EXPECT_EQ(stats.leases, 1u);
  larderd.Kill();
  EXPECT_EQ(Difference(*leases[0], 1), "") << "what is mapped stays";
}

TEST_F(KvSocketTest, RefusesMoreClientsThanItsLimit) {
  options_.max_clients = 2;
  Serve();
  auto one = Connect();
  const auto two = Connect();
  const auto three = LocalKv::Connect({.path = options_.path});
  EXPECT_EQ(three.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(three.status().message()), HasSubstr("2 clients are connected"));
  one = nullptr;
  ASSERT_TRUE(WaitFor([&] { return server_->clients() == 1; }));
  EXPECT_TRUE(LocalKv::Connect({.path = options_.path}).ok());
}

TEST_F(KvSocketTest, ListensWhereNobodyElseDoesForItsUserOnly) {
  Serve();
  struct stat status = {};
  ASSERT_EQ(::stat(options_.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(KvSocket::Start(&db_->kv(), options_).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(LocalKv::Connect({.path = options_.path}).ok()) << "the refused server took nothing away";
  const KvSocketOptions file{.path = directory_.path("file")};
  std::ofstream(file.path) << "precious";
  EXPECT_EQ(KvSocket::Start(&db_->kv(), file).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(KvSocket::Start(&db_->kv(), {.path = std::string(200, 'x')}).status().code(),
            absl::StatusCode::kInvalidArgument);
  kv::TestDatabase none;
  EXPECT_EQ(KvSocket::Start(&none.kv(), {.path = directory_.path("n")}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(KvSocketTest, AClientOutlivesItsServerAndIsToldSo) {
  Serve();
  ASSERT_TRUE(Put(1).ok());
  const auto client = Connect();
  auto lease = *Acquire(*client, 1);
  server_ = nullptr;
  EXPECT_FALSE(LocalKv::Connect({.path = options_.path}).ok());
  EXPECT_EQ(Acquire(*client, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Difference(lease, 1), "") << "the memory is still there";
  Listen();
  EXPECT_EQ(Acquire(*client, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Acquire(*Connect(), 1).ok());
}

}  // namespace
}  // namespace larder
