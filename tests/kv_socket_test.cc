#include "rpc/kv_socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_test_database.h"
#include "engine/kv/pool/segment_map.h"
#include "larder/local_kv.h"
#include "larder/v1/kv_local.pb.h"
#include "proto/packet_socket.h"

namespace larder {
namespace {

using ::testing::HasSubstr;
using kv::Payload;
using kv::Tokens;

constexpr uint64_t kPayload = 512;  // of kv::SmallProfile and 16 tokens

class KvSocketTest : public ::testing::Test {
 protected:
  void Serve(uint64_t pool_bytes = 16 << 20) {
    db_ = std::make_unique<kv::TestDatabase>(1 << 20, pool_bytes);
    Listen();
  }
  void Listen() {
    auto server = KvSocket::Start(&db_->kv(), options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::unique_ptr<LocalKv> Connect(const std::string& tenant = "t") {
    auto client = LocalKv::Connect(
        {.path = options_.path, .tenant = tenant, .clock = [this] { return absl::FromUnixMillis(now_ms_.load()); }});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  absl::Status Put(int seed, const std::string& tenant = "t", const std::vector<KvOwner>& owners = {}) {
    return db_->Put(db_->Key(seed, tenant), seed, owners);
  }
  absl::StatusOr<LocalKvLease> Acquire(LocalKv& client, int seed) {
    const std::vector<std::vector<int32_t>> chunks = {Tokens(seed)};
    return std::move(client.Acquire(db_->profile_id(), chunks)[0]);
  }
  // Empty, or how what the lease shows differs from what Put(seed) wrote.
  static std::string Difference(LocalKvLease& lease, int seed) {
    if (lease.layers() != 3 || lease.tokens() != 16) return "shape";
    for (uint32_t i = 0; i < 3; ++i) {
      const auto layer = lease.Layer(i);
      if (!layer.ok()) return layer.status().ToString();
      if (layer->k != Payload(kPayload, seed, i, false)) return absl::StrCat("layer ", i, " K");
      if (layer->v != Payload(kPayload, seed, i, true)) return absl::StrCat("layer ", i, " V");
    }
    return lease.Check().ToString() == "OK" ? "" : "check";
  }
  uint64_t Leases() { return db_->impl().pool()->Stats().leases; }
  bool WaitFor(const std::function<bool()>& condition) {
    for (const absl::Time until = absl::Now() + absl::Seconds(20); absl::Now() < until;) {
      if (condition()) return true;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return false;
  }

  storage::TestDirectory directory_;
  KvSocketOptions options_{.path = directory_.path("kv.sock")};
  std::atomic<int64_t> now_ms_ = 1'000'000;
  std::unique_ptr<kv::TestDatabase> db_;
  std::unique_ptr<KvSocket> server_;
};

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

class Child {
 public:
  Child(std::vector<std::string> arguments, const std::string& output) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

TEST_F(KvSocketTest, AKilledClientsLeasesAreFreeAndItsMemoryIsUsedAgain) {
  Serve(4 << 20);
  std::vector<std::string> arguments = {KV_READER_PATH, options_.path, "t", db_->profile_id()};
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(Put(i).ok());
    arguments.push_back(absl::StrJoin(Tokens(i), ","));
  }
  const std::string output = directory_.path("held");
  Child child(arguments, output);
  const auto held = [&] {
    std::string word;
    int count = 0;
    std::ifstream(output) >> word >> count;
    return count;
  };
  ASSERT_TRUE(WaitFor([&] { return held() == 30; }));
  EXPECT_EQ(Leases(), 30u);
  for (int i = 100; i < 900; ++i) ASSERT_TRUE(Put(i).ok());
  const auto client = Connect();
  const auto hit = [&](int i) {
    return (*client->Lookup(db_->profile_id(), std::vector<std::vector<int32_t>>{Tokens(i)}))[0].hit;
  };
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(hit(i)) << "held: not evicted";
  child.Kill();
  ASSERT_TRUE(WaitFor([&] { return Leases() == 0; }));
  for (int i = 1'000; i < 1'800; ++i) ASSERT_TRUE(Put(i).ok());
  for (int i = 0; i < 30; ++i) EXPECT_FALSE(hit(i)) << i;
}

TEST_F(KvSocketTest, SurvivesHostileClients) {
  options_.send = absl::Milliseconds(200);
  options_.hello = absl::Milliseconds(300);
  Serve();
  ASSERT_TRUE(Put(1).ok());
  const auto good = Connect();
  auto lease = *Acquire(*good, 1);
  v1::LocalRequest hello, stats;
  hello.mutable_hello()->set_version(1);
  stats.mutable_stats();
  std::mt19937 random(3);
  for (int i = 0; i < 60; ++i) {
    PacketFd socket = *ConnectPackets(options_.path);
    ASSERT_TRUE(PreparePackets(socket.get(), absl::Seconds(10), absl::Seconds(1)).ok());
    if (i % 3 == 0) {  // noise, with descriptors nobody asked for
      std::string noise(1 + random() % 5'000, '\0');
      for (char& c : noise) c = static_cast<char>(random());
      const int fds[] = {socket.get(), 0, 1};
      SendPacket(socket.get(), noise, fds).IgnoreError();
    } else if (i % 3 == 1) {  // gone before its reply comes: SIGPIPE must not end the server
      for (int j = 0; j < 5; ++j) SendPacket(socket.get(), hello.SerializeAsString()).IgnoreError();
    } else {  // a packet that is too long
      std::string huge(kMaxPacketBytes + 4'096, 'x');
      const int bytes = 1 << 20;
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
      ::send(socket.get(), huge.data(), huge.size(), MSG_NOSIGNAL);
    }
  }
  {  // never takes a reply, then one that never says who it is
    PacketFd deaf = *ConnectPackets(options_.path), mute = *ConnectPackets(options_.path);
    ASSERT_TRUE(PreparePackets(deaf.get(), absl::Seconds(1), absl::Milliseconds(50)).ok());
    SendPacket(deaf.get(), hello.SerializeAsString()).IgnoreError();
    for (int i = 0; i < 20'000; ++i) {
      if (!SendPacket(deaf.get(), stats.SerializeAsString()).ok()) break;
    }
    EXPECT_TRUE(WaitFor([&] { return server_->clients() == 1; }));
  }
  EXPECT_EQ(Difference(lease, 1), "");
  EXPECT_EQ(Leases(), 1u);
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

// Clients over the socket while others put and delete, in a pool that holds a part of the entries.
// LARDER_KV_READS: how many checked reads (long form).
TEST_F(KvSocketTest, EveryReadIsRightWhileEntriesComeAndGo) {
  const char* const wanted = std::getenv("LARDER_KV_READS");
  const int64_t reads = wanted == nullptr ? 3'000 : std::atoll(wanted);
  Serve(4 << 20);
  constexpr int kEntries = 300;
  for (int i = 0; i < kEntries; ++i) ASSERT_TRUE(Put(i).ok());
  std::atomic<int64_t> done = 0, wrong = 0;
  const auto read = [&](int thread) {
    std::mt19937 random(thread);
    const auto client = Connect();
    while (done < reads) {
      std::vector<std::vector<int32_t>> chunks;
      std::vector<int> seeds;
      for (int i = 0; i < 8; ++i) chunks.push_back(Tokens(seeds.emplace_back(random() % kEntries)));
      auto leases = client->Acquire(db_->profile_id(), chunks);
      for (size_t i = 0; i < leases.size(); ++i) {
        if (!leases[i].ok()) continue;
        if (Difference(*leases[i], seeds[i]) != "") ++wrong;
        ++done;
      }
    }
  };
  std::atomic<bool> stop = false;
  std::thread churn([&] {
    for (int i = 0; !stop; ++i) {
      const int seed = i * 7 % kEntries;
      EXPECT_TRUE(db_->kv().Delete(db_->Key(seed, "t")).ok());
      EXPECT_TRUE(Put(seed).ok());
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read, i);
  for (std::thread& reader : readers) reader.join();
  stop = true;
  churn.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_TRUE(WaitFor([&] { return Leases() == 0; }));
  EXPECT_GT(db_->impl().pool()->Stats().evictions, 0u);
  RecordProperty("reads", static_cast<int>(done.load()));
}

}  // namespace
}  // namespace larder
