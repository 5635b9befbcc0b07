#include "engine/embed/http_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A real server on loopback that answers as the test says.
class HttpEmbedderTest : public ::testing::Test {
 protected:
  using Answer = std::function<void(const nlohmann::json& request, httplib::Response* reply)>;

  void Serve(Answer answer) {
    server_.Post("/v1/embeddings", [this, answer](const httplib::Request& request, httplib::Response& reply) {
      ++calls_;
      authorization_ = request.get_header_value("Authorization");
      answer(nlohmann::json::parse(request.body), &reply);
    });
    options_.url = absl::StrCat("http://127.0.0.1:", server_.bind_to_any_port("127.0.0.1"), "/v1/embeddings");
    options_.model = "test-model";
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) absl::SleepFor(absl::Milliseconds(1));
  }
  void TearDown() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  absl::StatusOr<std::vector<float>> Embed(const std::vector<std::string>& texts) {
    if (embedder_ == nullptr) {
      embedder_ = *OpenHttpEmbedderWith(options_, [this](absl::Duration wait) { waited_.push_back(wait); });
    }
    return embedder_->Embed(texts);
  }
  // Each text's vector is {its length, 1}; in reverse order, as the standard allows.
  static void AnswerLengths(const nlohmann::json& request, httplib::Response* reply) {
    nlohmann::json data = nlohmann::json::array();
    for (size_t i = request["input"].size(); i > 0; --i) {
      data.push_back({{"index", i - 1}, {"embedding", {request["input"][i - 1].get<std::string>().size(), 1}}});
    }
    reply->set_content(nlohmann::json({{"data", data}}).dump(), "application/json");
  }

  httplib::Server server_;
  std::thread thread_;
  HttpEmbedderOptions options_;
  std::shared_ptr<Embedder> embedder_;
  std::atomic<int> calls_{0};
  std::string authorization_;
  std::vector<absl::Duration> waited_;
};

TEST_F(HttpEmbedderTest, EmbedsInBatchesAndKeepsOrder) {
  options_.batch = 2;
  setenv("LARDER_TEST_KEY", "s3cret", 1);
  options_.api_key_env = "LARDER_TEST_KEY";
  Serve([](const nlohmann::json& request, httplib::Response* reply) {
    EXPECT_EQ(request["model"], "test-model");
    EXPECT_LE(request["input"].size(), 2u);
    AnswerLengths(request, reply);
  });
  const auto rows = Embed({"a", "bb", "ccc", "dddd", "eeeee"});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, ::testing::ElementsAre(1, 1, 2, 1, 3, 1, 4, 1, 5, 1));
  EXPECT_EQ(calls_, 3);
  EXPECT_EQ(authorization_, "Bearer s3cret");
  EXPECT_EQ(embedder_->dimension(), 2u);
}

TEST_F(HttpEmbedderTest, TriesAgainWhenAskedTo) {
  Serve([this](const nlohmann::json& request, httplib::Response* reply) {
    if (calls_ == 1) {
      reply->status = 429;
      reply->set_header("Retry-After", "7");
    } else if (calls_ == 2) {
      reply->status = 503;
    } else {
      AnswerLengths(request, reply);
    }
  });
  EXPECT_TRUE(Embed({"a"}).ok());
  EXPECT_EQ(calls_, 3);
  ASSERT_EQ(waited_.size(), 2u);
  EXPECT_EQ(waited_[0], absl::Seconds(7));
  EXPECT_LE(waited_[1], absl::Milliseconds(400));
}

TEST_F(HttpEmbedderTest, GivesUpAndSaysWhy) {
  options_.max_attempts = 3;
  setenv("LARDER_TEST_KEY", "s3cret", 1);
  options_.api_key_env = "LARDER_TEST_KEY";
  Serve([](const nlohmann::json&, httplib::Response* reply) {
    reply->status = 500;
    reply->set_content("out of order", "text/plain");
  });
  const absl::Status status = Embed({"a"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("HTTP 500: out of order (after 3 attempts)"));
  EXPECT_THAT(status.message(), Not(HasSubstr("s3cret")));
  EXPECT_EQ(calls_, 3);
}

TEST_F(HttpEmbedderTest, RefusalsAreNotRetried) {
  Serve([](const nlohmann::json&, httplib::Response* reply) { reply->status = 401; });
  EXPECT_EQ(Embed({"a"}).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(calls_, 1);
}

TEST_F(HttpEmbedderTest, TimesOut) {
  options_.timeout = absl::Milliseconds(50);
  options_.max_attempts = 1;
  Serve([](const nlohmann::json&, httplib::Response*) { absl::SleepFor(absl::Milliseconds(300)); });
  EXPECT_EQ(Embed({"a"}).status().code(), absl::StatusCode::kUnavailable);
}

TEST(OpenHttpEmbedder, RefusesWhatItCannotUse) {
  HttpEmbedderOptions options;
  options.url = "file:///etc/passwd";
  EXPECT_EQ(OpenHttpEmbedder(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.url = "http://127.0.0.1:1/v1/embeddings";
  options.api_key_env = "LARDER_NO_SUCH_VARIABLE";
  EXPECT_EQ(OpenHttpEmbedder(options).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ParseEmbeddings, RefusesEverythingElse) {
  for (const char* body : {
           "", "garbage", "[]", "{}", R"({"data": 3})", R"({"data": []})", R"({"data": [1, 2]})",
           R"({"data": [{"index": 0, "embedding": [1]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": -1, "embedding": [1]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]})",
           R"({"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": ["x"]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [null]}]})",
           R"({"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1e39]}]})"}) {
    EXPECT_EQ(ParseEmbeddings(body, 2).status().code(), absl::StatusCode::kInvalidArgument) << body;
  }
}

}  // namespace
}  // namespace larder
