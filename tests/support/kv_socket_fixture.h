// A database with shared memory, the socket that passes it, clients, and a child process.
#ifndef LARDER_TESTS_SUPPORT_KV_SOCKET_FIXTURE_H_
#define LARDER_TESTS_SUPPORT_KV_SOCKET_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_test_database.h"
#include "larder/local_kv.h"
#include "rpc/kv_socket.h"

namespace larder {

using kv::Payload;
using kv::Tokens;

inline constexpr uint64_t kPayload = 512;  // of kv::SmallProfile and 16 tokens

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

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_KV_SOCKET_FIXTURE_H_
