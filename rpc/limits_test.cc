// What stands at the door: admission, addresses, backup names, file descriptors.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rpc/admission.h"
#include "rpc/backup_root.h"
#include "rpc/fd_limit.h"
#include "rpc/listen_address.h"
#include "tests/support/temp_dir.h"

namespace larder {
namespace {

TEST(Quota, RefusesWhatDoesNotFit) {
  Quota quota("calls", 10);
  auto four = quota.Take(4);
  auto six = quota.Take(6);
  ASSERT_TRUE(four.ok() && six.ok());
  EXPECT_EQ(quota.used(), 10u);
  const absl::Status full = quota.Take(1).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(full.message().find("10 of 10 calls"), absl::string_view::npos) << full;
  EXPECT_TRUE(quota.Take(0).ok());
  { const Quota::Share gone = *std::move(six); }
  EXPECT_EQ(quota.used(), 4u);
  EXPECT_FALSE(quota.Take(~uint64_t{0}).ok());
  EXPECT_TRUE(quota.Take(6).ok());  // and back at once
  EXPECT_EQ(quota.used(), 4u);
}

TEST(Quota, NeverExceedsItsLimitAmongThreads) {
  Quota quota("calls", 3);
  std::atomic<uint64_t> most{0}, taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (auto share = quota.Take(1); share.ok()) {
          ++taken;
          const uint64_t used = quota.used();
          uint64_t seen = most;
          while (used > seen && !most.compare_exchange_weak(seen, used)) {
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(taken, 0u);
  EXPECT_LE(most, 3u);
  EXPECT_EQ(quota.used(), 0u);
}

struct AddressCase {
  const char* text;
  absl::StatusCode code;
  const char* host = "";
  int port = 0;
};

TEST(ListenAddress, IsLoopbackOrRefused) {
  using enum absl::StatusCode;
  const AddressCase cases[] = {
      {"127.0.0.1:7614", kOk, "127.0.0.1", 7614},
      {"127.255.0.9:0", kOk, "127.255.0.9", 0},
      {"localhost:65535", kOk, "127.0.0.1", 65535},
      {"[::1]:80", kOk, "[::1]", 80},
      {"[0:0:0:0:0:0:0:1]:80", kOk, "[::1]", 80},
      {"0.0.0.0:7614", kFailedPrecondition},
      {"[::]:7614", kFailedPrecondition},
      {"192.168.1.7:7614", kFailedPrecondition},
      {"128.0.0.1:7614", kFailedPrecondition},
      {"[::ffff:127.0.0.1]:7614", kFailedPrecondition},
      {"::1:7614", kFailedPrecondition},
      {"*:7614", kFailedPrecondition},
      {"127.1:7614", kFailedPrecondition},
      {"127.0.0.1.example.com:7614", kFailedPrecondition},
      {"unix:/run/larder.sock", kInvalidArgument},
      {"", kInvalidArgument},
      {":7614", kInvalidArgument},
      {"127.0.0.1", kInvalidArgument},
      {"127.0.0.1:", kInvalidArgument},
      {"127.0.0.1:65536", kInvalidArgument},
      {"127.0.0.1:-1", kInvalidArgument},
      {"127.0.0.1:x", kInvalidArgument},
  };
  for (const AddressCase& c : cases) {
    const auto address = ParseListenAddress(c.text);
    EXPECT_EQ(address.status().code(), c.code) << c.text << ": " << address.status();
    if (!address.ok()) continue;
    EXPECT_EQ(address->host, c.host) << c.text;
    EXPECT_EQ(address->port, c.port) << c.text;
  }
}

class BackupRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root_ / "there");
    std::filesystem::create_directory_symlink("/", root_ / "link");
    std::ofstream(root_ / "file") << "x";
  }

  const testing::TempDir root_;
};

TEST_F(BackupRootTest, TakesOneGoodComponent) {
  const auto root = BackupRoot::Open(root_.path());
  ASSERT_TRUE(root.ok()) << root.status();
  for (const char* name : {"there", "new", "2026-11-22_a.b", "a..b"}) {
    const auto path = root->Resolve(name);
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(*path, (std::filesystem::canonical(root_.path()) / name).string());
  }
  const std::string long_name(129, 'a'), with_nul("a\0b", 3);
  for (const std::string& name :
       std::vector<std::string>{"", ".", "..", "../x", "a/b", "/etc", ".hidden", "a b", "a\nb", "ä", "link",
                                "file", long_name, with_nul}) {
    EXPECT_EQ(root->Resolve(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(BackupRootTest, IsThereOrSaysSo) {
  EXPECT_EQ(BackupRoot::Open(root_ / "absent").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(BackupRoot::Open(root_ / "file").status().code(), absl::StatusCode::kFailedPrecondition);
  const auto none = BackupRoot::Open("");
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->Resolve("there").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(FdLimit, RaisesTheSoftLimit) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = std::min<rlim_t>(64, before.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto raised = RaiseFdLimit(1);
  ASSERT_TRUE(raised.ok()) << raised.status();
  EXPECT_EQ(*raised, before.rlim_max);
  const auto refused = RaiseFdLimit(uint64_t{before.rlim_max} + 1);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace larder
