// What clients of the socket may do to it, and to one another.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_join.h"
#include "larder/v1/kv_local.pb.h"
#include "proto/packet_socket.h"
#include "tests/support/kv_socket_fixture.h"

namespace larder {
namespace {

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
  for (int i = 100; i < 350; ++i) ASSERT_TRUE(Put(i).ok());
  const auto client = Connect();
  const auto hit = [&](int i) {
    return (*client->Lookup(db_->profile_id(), std::vector<std::vector<int32_t>>{Tokens(i)}))[0].hit;
  };
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(hit(i)) << "held: not evicted";
  child.Kill();
  ASSERT_TRUE(WaitFor([&] { return Leases() == 0; }));
  for (int i = 1'000; i < 1'250; ++i) ASSERT_TRUE(Put(i).ok());
  for (int i = 0; i < 30; ++i) EXPECT_FALSE(hit(i)) << i;
}

TEST_F(KvSocketTest, SurvivesHostileClients) {
  ::signal(SIGPIPE, SIG_DFL);  // whoever started this may have had it ignored
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
