#include "engine/embed/http_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/embed/http_client.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kKeyVariable[] = "LARDER_TEST_API_KEY";
constexpr char kKey[] = "sk-secret-0123456789";

// A service on a port of its own. Requests get the scripted answers in turn, then good ones: a text
// becomes (its length, its position in the request).
class Service {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  Service() {
    server_.Post("/v1/embeddings", [this](const httplib::Request& request, httplib::Response& response) {
      Answer(request, response);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Service() {
    server_.stop();
    thread_.join();
  }

  void Script(Handler handler) {
    std::lock_guard<std::mutex> lock(mutex_);
    script_.push_back(std::move(handler));
  }
  void ScriptStatus(int status, const std::string& body = "", const std::string& retry_after = "") {
    Script([=](const httplib::Request&, httplib::Response& response) {
      response.status = status;
      if (!retry_after.empty()) response.set_header("Retry-After", retry_after);
      response.set_content(body, "application/json");
    });
  }
  std::string url() const { return absl::StrCat("http://127.0.0.1:", port_, "/v1/embeddings"); }
  std::vector<httplib::Request> requests() {
    std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }

  static void Good(const httplib::Request& request, httplib::Response& response) {
    const auto body = nlohmann::json::parse(request.body);
    nlohmann::json data = nlohmann::json::array();
    for (size_t i = body["input"].size(); i-- > 0;) {  // last row first: the index decides
      const std::string text = body["input"][i];
      data.push_back({{"index", i}, {"embedding", {text.size(), i}}});
    }
    response.set_content(nlohmann::json{{"data", data}}.dump(), "application/json");
  }

 private:
  void Answer(const httplib::Request& request, httplib::Response& response) {
    Handler handler = &Good;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(request);
      if (!script_.empty()) {
        handler = script_.front();
        script_.pop_front();
      }
    }
    handler(request, response);
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  std::deque<Handler> script_;
  std::vector<httplib::Request> requests_;
};

class HttpEmbedder : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv(kKeyVariable, kKey, 1);
    options_.url = service_.url();
    options_.model = "tiny";
    options_.api_key_env = kKeyVariable;
    options_.timeout = absl::Seconds(20);
    policy_ = RetryPolicy::Default(3);
    policy_.random = [] { return 1.0; };
    policy_.sleep = [this](absl::Duration delay) { delays_.push_back(delay); };
  }

  std::shared_ptr<Embedder> Open() {
    auto embedder = OpenHttpEmbedderWith(options_, policy_);
    EXPECT_TRUE(embedder.ok()) << embedder.status();
    return *std::move(embedder);
  }
  void ExpectFailure(absl::StatusCode code, const std::string& message) {
    const auto vectors = Open()->Embed({"text"});
    EXPECT_EQ(vectors.status().code(), code) << vectors.status();
    EXPECT_THAT(vectors.status().message(), HasSubstr(message));
    EXPECT_THAT(vectors.status().message(), HasSubstr(options_.url));
    EXPECT_THAT(vectors.status().message(), Not(HasSubstr("sk-secret")));
  }

  Service service_;
  HttpEmbedderOptions options_;
  RetryPolicy policy_;
  std::vector<absl::Duration> delays_;
};

TEST_F(HttpEmbedder, EmbedsInBatches) {
  options_.batch = 2;
  const auto embedder = Open();
  EXPECT_EQ(embedder->dimension(), 0);
  EXPECT_EQ(embedder->max_tokens(), 0);
  EXPECT_EQ(embedder->fingerprint(), "http:model=tiny");
  EXPECT_EQ(embedder->CountTokens("three words here"), 4);
  const auto vectors = embedder->Embed({"a", "bb", "ccc", "dddd", "eeeee"});
  ASSERT_TRUE(vectors.ok()) << vectors.status();
  EXPECT_THAT(*vectors, ElementsAre(1, 0, 2, 1, 3, 0, 4, 1, 5, 0));
  EXPECT_EQ(embedder->dimension(), 2);
  const auto requests = service_.requests();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_EQ(nlohmann::json::parse(requests[1].body),
            nlohmann::json::parse(R"({"model":"tiny","encoding_format":"float","input":["ccc","dddd"]})"));
  EXPECT_EQ(requests[0].get_header_value("Authorization"), absl::StrCat("Bearer ", kKey));
  EXPECT_EQ(requests[0].get_header_value("Content-Type"), "application/json");
}

TEST_F(HttpEmbedder, NothingToDoAsksNobody) {
  EXPECT_TRUE(Open()->Embed({})->empty());
  EXPECT_TRUE(service_.requests().empty());
}

TEST_F(HttpEmbedder, WithoutAKeySendsNone) {
  options_.api_key_env = "";
  ASSERT_TRUE(Open()->Embed({"x"}).ok());
  EXPECT_FALSE(service_.requests()[0].has_header("Authorization"));
}

TEST_F(HttpEmbedder, TriesAgainAsTheServerAsks) {
  service_.ScriptStatus(429, "slow down", "7");
  service_.ScriptStatus(503);
  const auto vectors = Open()->Embed({"abc"});
  ASSERT_TRUE(vectors.ok()) << vectors.status();
  EXPECT_THAT(*vectors, ElementsAre(3, 0));
  EXPECT_THAT(delays_, ElementsAre(absl::Seconds(7), absl::Seconds(1)));
}

TEST_F(HttpEmbedder, CapsWhatTheServerAsks) {
  service_.ScriptStatus(429, "", "86400");
  ASSERT_TRUE(Open()->Embed({"abc"}).ok());
  EXPECT_THAT(delays_, ElementsAre(absl::Seconds(60)));
}

TEST_F(HttpEmbedder, GivesUpAfterTheLastAttempt) {
  for (int i = 0; i < 9; ++i) service_.ScriptStatus(500, "broken");
  ExpectFailure(absl::StatusCode::kUnavailable, "HTTP 500 (3 attempts): broken");
  EXPECT_EQ(service_.requests().size(), 3);
  EXPECT_EQ(delays_.size(), 2);
}

TEST_F(HttpEmbedder, QuotaIsResourceExhausted) {
  for (int i = 0; i < 9; ++i) service_.ScriptStatus(429);
  ExpectFailure(absl::StatusCode::kResourceExhausted, "HTTP 429 (3 attempts)");
}

TEST_F(HttpEmbedder, DoesNotRepeatWhatWillNotHelp) {
  for (int status : {301, 400, 401, 404, 422}) {
    service_.ScriptStatus(status, "no");
    ExpectFailure(absl::StatusCode::kFailedPrecondition, absl::StrCat("HTTP ", status, ": no"));
  }
  EXPECT_EQ(service_.requests().size(), 5);
  EXPECT_TRUE(delays_.empty());
}

TEST_F(HttpEmbedder, FollowsNoRedirect) {
  service_.Script([this](const httplib::Request&, httplib::Response& response) {
    response.set_redirect(service_.url(), 307);
  });
  ExpectFailure(absl::StatusCode::kFailedPrecondition, "HTTP 307");
  EXPECT_EQ(service_.requests().size(), 1);
}

TEST_F(HttpEmbedder, QuotesTheBodyWithoutTheKey) {
  service_.ScriptStatus(401, absl::StrCat("wrong key ", kKey, "\n", std::string(170, 'x'), kKey, kKey));
  const auto vectors = Open()->Embed({"x"});
  EXPECT_THAT(std::string(vectors.status().message()), HasSubstr("wrong key [key]\\nxxx"));
  EXPECT_THAT(std::string(vectors.status().message()), Not(HasSubstr("sk-secret")));
  service_.ScriptStatus(400, std::string(1000, 'y'));
  const auto longer = Open()->Embed({"x"});
  EXPECT_THAT(std::string(longer.status().message()), HasSubstr(std::string(200, 'y')));
  EXPECT_THAT(std::string(longer.status().message()), Not(HasSubstr(std::string(201, 'y'))));
}

TEST_F(HttpEmbedder, TimesOut) {
  options_.timeout = absl::Milliseconds(150);
  for (int i = 0; i < 3; ++i) {
    service_.Script([](const httplib::Request&, httplib::Response& response) {
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      response.status = 200;
    });
  }
  ExpectFailure(absl::StatusCode::kUnavailable, "imed out");
  EXPECT_EQ(delays_.size(), 2);
}

TEST_F(HttpEmbedder, NobodyListens) {
  {
    const Service gone;
    options_.url = gone.url();
  }
  ExpectFailure(absl::StatusCode::kUnavailable, "onnect");
  EXPECT_EQ(delays_.size(), 2);
}

TEST_F(HttpEmbedder, RefusesBadAnswers) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"data":[]})", "expected 1 rows, found 0"},
      {R"({"data":[{"index":0,"embedding":[1,NaN]}]})", "expected a JSON object"},
      {R"({"data":[{"index":0,"embedding":[1,null]}]})", "not a finite number"},
      {"<html>proxy</html>", "HTTP 200: <html>proxy</html>"},
      {"", "expected a JSON object"},
  };
  for (const auto& [body, message] : cases) {
    service_.ScriptStatus(200, body);
    ExpectFailure(absl::StatusCode::kFailedPrecondition, message);
  }
  EXPECT_TRUE(delays_.empty());
}

TEST_F(HttpEmbedder, RefusesAChangeOfDimension) {
  const auto embedder = Open();
  ASSERT_TRUE(embedder->Embed({"x"}).ok());
  service_.ScriptStatus(200, R"({"data":[{"index":0,"embedding":[1,2,3]}]})");
  const auto vectors = embedder->Embed({"x"});
  EXPECT_EQ(vectors.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(vectors.status().message(), HasSubstr("answered dimension 3, before it was 2"));
}

TEST_F(HttpEmbedder, BoundsTheBody) {
  service_.ScriptStatus(200, std::string(3 << 20, ' '));  // one row may take 2 MiB, and 64 KiB around it
  ExpectFailure(absl::StatusCode::kResourceExhausted, "reply is longer than 2162688 bytes");
  EXPECT_TRUE(delays_.empty());
}

TEST_F(HttpEmbedder, ManyThreads) {
  policy_.sleep = [](absl::Duration) {};
  service_.ScriptStatus(503);
  const auto embedder = Open();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (size_t t = 1; t <= 8; ++t) {
    threads.emplace_back([&embedder, &good, t] {
      for (int i = 0; i < 10; ++i) {
        const auto vectors = embedder->Embed({std::string(t, 'x')});
        if (vectors.ok() && *vectors == std::vector<float>{static_cast<float>(t), 0}) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

TEST_F(HttpEmbedder, RefusesBadOptions) {
  const auto expect_fault = [this](absl::StatusCode code, const std::string& message) {
    const auto embedder = OpenHttpEmbedderWith(options_, policy_);
    EXPECT_EQ(embedder.status().code(), code);
    EXPECT_THAT(embedder.status().message(), HasSubstr(message));
  };
  for (const char* url : {"", "localhost:80/v1", "http://", "ftp://host/x", "file:///etc/passwd",
                          "http://me:secret@host/", "http://me@host/"}) {
    options_.url = url;
    expect_fault(absl::StatusCode::kInvalidArgument, "url");
  }
  options_.url = service_.url();
  ::setenv(kKeyVariable, "two\r\nX-Evil: 1", 1);
  expect_fault(absl::StatusCode::kInvalidArgument, "control character");
  ::unsetenv(kKeyVariable);
  expect_fault(absl::StatusCode::kFailedPrecondition, "LARDER_TEST_API_KEY is not set");
  ::setenv(kKeyVariable, kKey, 1);
  options_.model = "";
  expect_fault(absl::StatusCode::kInvalidArgument, "model");
  options_.model = "m";
  options_.batch = 0;
  expect_fault(absl::StatusCode::kInvalidArgument, "must be positive");
}

}  // namespace
}  // namespace larder
