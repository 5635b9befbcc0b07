// The binary: how it starts, what it refuses, and that it stops without losing what it acknowledged.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "tests/support/served_database.h"  // and the client

namespace larder {
namespace {

using ::testing::HasSubstr;

// A child process, its output in a file each. Killed when it goes, if it still runs.
class Child {
 public:
  Child(const std::vector<std::string>& arguments, const std::string& output)
      : out_(output + ".out"), err_(output + ".err") {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  // "127.0.0.1:PORT" of its line on stdout; "" if it does not come.
  std::string Address() {
    for (const absl::Time until = absl::Now() + absl::Seconds(30); absl::Now() < until;) {
      const std::string line = Output();
      absl::string_view rest = line;
      if (absl::ConsumePrefix(&rest, "listening on ") && absl::ConsumeSuffix(&rest, "\n")) {
        return std::string(rest);
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return "";
  }

  void Signal(int number) { kill(pid_, number); }

  // Exit code; -1 if it was killed or is still there after `patience`.
  int Wait(absl::Duration patience) {
    for (const absl::Time until = absl::Now() + patience; absl::Now() < until;) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      absl::SleepFor(absl::Milliseconds(5));
    }
    return -1;
  }

  std::string Output() const { return Read(out_); }
  std::string Errors() const { return Read(err_); }

 private:
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  const std::string out_, err_;
  pid_t pid_ = 0;
};

class LarderdTest : public ::testing::Test {
 protected:
  std::unique_ptr<Child> Start(std::vector<std::string> more, const std::string& name = "larderd") {
    std::vector<std::string> arguments = {LARDERD_PATH, "--db", database_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<Child>(arguments, directory_ / name);
  }

  static CollectionOptions Vectors() {
    CollectionOptions options;
    options.embedder = EmbedderKind::kNone;
    options.spaces = {VectorSpaceOptions{.dimension = 2}};
    return options;
  }

  testing::TempDir directory_;
  const std::string database_ = directory_ / "db";
};

TEST_F(LarderdTest, SaysWhereItListens) {
  const std::string port_file = directory_ / "port";
  const auto child = Start({"--create", "--listen", "127.0.0.1:0", "--port-file", port_file});
  const std::string address = child->Address();
  ASSERT_NE(address, "") << child->Errors();
  std::ifstream file(port_file);
  std::string written;
  std::getline(file, written);
  EXPECT_EQ(written, address);
  const auto client = Client::Connect({.address = address});
  EXPECT_THAT(*(*client)->ListCollections(), ::testing::IsEmpty());
  child->Signal(SIGINT);
  EXPECT_EQ(child->Wait(absl::Seconds(10)), 0) << child->Errors();
}

TEST_F(LarderdTest, KeepsWhatItAcknowledgedWhenStoppedUnderLoad) {
  auto child = Start({"--create", "--listen", "127.0.0.1:0"});
  const std::string address = child->Address();
  ASSERT_NE(address, "") << child->Errors();
  const auto client = Client::Connect({.address = address});
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE((*client)->CreateCollection("docs", Vectors()).ok());

  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0;; ++i) {
        Document document;
        document.id = absl::StrCat(w, "-", i);
        document.text = "text";
        document.chunks.resize(1);
        document.chunks[0].text = "text";
        document.chunks[0].vectors["default"] = {1.0f, static_cast<float>(i)};
        if (!(*client)->Upsert("docs", document).ok()) return;  // it is stopping
        const std::lock_guard<std::mutex> lock(mutex);
        acknowledged.insert(document.id);
      }
    });
  }
  absl::SleepFor(absl::Milliseconds(700));
  const absl::Time start = absl::Now();
  child->Signal(SIGTERM);
  EXPECT_EQ(child->Wait(absl::Seconds(20)), 0) << child->Errors();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  for (std::thread& writer : writers) writer.join();

  ASSERT_GT(acknowledged.size(), 10u);
  auto database = Database::Open(database_);
  ASSERT_TRUE(database.ok()) << database.status();
  const Collection docs = *(*database)->GetCollection("docs");
  for (const std::string& id : acknowledged) EXPECT_TRUE(docs.Get(id).ok()) << id;
  // A call whose acknowledgement was lost may have been done; nothing else is there.
  EXPECT_LE(*docs.Count(), acknowledged.size() + writers.size());
}

TEST_F(LarderdTest, SharesADirectoryWithNobody) {
  const auto first = Start({"--create", "--listen", "127.0.0.1:0"}, "first");
  ASSERT_NE(first->Address(), "") << first->Errors();
  const auto second = Start({"--listen", "127.0.0.1:0"}, "second");
  EXPECT_EQ(second->Wait(absl::Seconds(10)), 1);
  EXPECT_THAT(second->Errors(), HasSubstr("UNAVAILABLE"));
  EXPECT_THAT(second->Errors(), HasSubstr("LOCK"));
  EXPECT_EQ(second->Output(), "");
  first->Signal(SIGTERM);
  EXPECT_EQ(first->Wait(absl::Seconds(10)), 0) << first->Errors();
}

struct RefusedStart {
  std::vector<std::string> arguments;
  const char* says;
};

TEST_F(LarderdTest, RefusesToStartWithoutTouchingTheDirectory) {
  const RefusedStart cases[] = {
      {{"--create", "--listen", "0.0.0.0:0"}, "not loopback"},
      {{"--create", "--listen", "nonsense"}, "expected host:port"},
      {{"--create", "--listen", "127.0.0.1:0", "--max-calls", "0"}, "max_concurrent_calls"},
      {{"--create", "--listen", "127.0.0.1:0", "--max-message-mb", "5000"}, "--max-message-mb"},
      {{"--create", "--unknown"}, "--unknown"},
      {{"--listen", "127.0.0.1:0"}, "NOT_FOUND"},
  };
  for (const RefusedStart& c : cases) {
    SCOPED_TRACE(c.says);
    const auto child = Start(c.arguments);
    EXPECT_EQ(child->Wait(absl::Seconds(10)), 1);
    EXPECT_THAT(child->Errors(), HasSubstr(c.says));
    EXPECT_EQ(child->Output(), "");
    EXPECT_FALSE(std::filesystem::exists(database_));
  }
}

}  // namespace
}  // namespace larder
