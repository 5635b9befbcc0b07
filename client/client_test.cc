// The client alone, against services that a test makes up: retries, deadlines, what it refuses.
// Its verbs against the real service are tested in rpc/.
#include "larder/client.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/client_impl.h"
#include "larder/v1/kv.grpc.pb.h"
#include "larder/v1/larder.grpc.pb.h"

namespace larder {
namespace {

class FlakyDocuments final : public v1::Documents::Service {
 public:
  grpc::Status Count(grpc::ServerContext*, const v1::CountRequest*, v1::CountReply* reply) override {
    if (calls++ < failures) return grpc::Status(code, "not now");
    reply->set_documents(7);
    return grpc::Status::OK;
  }
  grpc::Status Upsert(grpc::ServerContext*, const v1::UpsertRequest*, v1::UpsertReply*) override {
    ++calls;
    return answers_nothing ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  }
  grpc::Status Chunks(grpc::ServerContext* context, const v1::ChunksRequest*, v1::ChunksReply*) override {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::OK;
  }

  std::atomic<int> calls{0}, failures{0};
  std::atomic<grpc::StatusCode> code{grpc::StatusCode::UNAVAILABLE};
  std::atomic<bool> answers_nothing{false};
};

class BrokenKv final : public v1::Kv::Service {
 public:
  grpc::Status Get(grpc::ServerContext*, const v1::KvGetRequest* request,
                   grpc::ServerWriter<v1::KvPart>* writer) override {
    v1::KvPart part;
    part.set_tensor(v1::KvPart::TENSOR_K);
    part.set_total_bytes(2);
    part.set_data("k");
    writer->Write(part);
    if (request->first_layer() == 1) {  // a part out of place, and more behind it
      for (int i = 0; i < 100 && writer->Write(part); ++i) {
      }
    }
    return grpc::Status::OK;
  }
};

class ClientTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&documents_);
    builder.RegisterService(&kv_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    options_.address = absl::StrCat("127.0.0.1:", port_);
  }
  void TearDown() override { server_->Shutdown(); }

  std::unique_ptr<Client> Connect() {
    auto client = Client::Connect(options_);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  FlakyDocuments documents_;
  BrokenKv kv_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  ClientOptions options_;
};

TEST_F(ClientTest, TriesAReadTwiceWhileUnavailable) {
  documents_.failures = 1;
  const auto count = Connect()->Count("docs");
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 7u);
  EXPECT_EQ(documents_.calls, 2);

  documents_.failures = 9;
  documents_.calls = 0;
  EXPECT_EQ(Connect()->Count("docs").status(), absl::UnavailableError("not now"));
  EXPECT_EQ(documents_.calls, 2);
}

TEST_F(ClientTest, TriesNothingElseTwice) {
  documents_.failures = 1;
  documents_.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
  EXPECT_EQ(Connect()->Count("docs").status(), absl::ResourceExhaustedError("not now"));
  EXPECT_EQ(documents_.calls, 1);

  documents_.calls = 0;
  EXPECT_EQ(Connect()->Upsert("docs", Document{.id = "1"}).status(), absl::UnavailableError("not now"));
  EXPECT_EQ(documents_.calls, 1);
}

TEST_F(ClientTest, GivesUpAtItsDeadline) {
  options_.deadline = absl::Milliseconds(150);
  const absl::Time start = absl::Now();
  const auto chunks = Connect()->Chunks("docs", "1");
  EXPECT_EQ(chunks.status().code(), absl::StatusCode::kDeadlineExceeded) << chunks.status();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(ClientTest, SaysWhenNobodyListens) {
  server_->Shutdown();
  const absl::Time start = absl::Now();
  EXPECT_EQ(Connect()->ListCollections().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(ClientTest, RefusesTextThatIsNotUtf8BeforeItTravels) {
  const auto client = Connect();
  const auto result = client->Upsert("docs", Document{.id = "1", .text = "caf\xE9"});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(result.status().message().find("larder.v1.Document.text"), absl::string_view::npos)
      << result.status();
  EXPECT_EQ(client->Count("docs", "a = \"\xFF\"").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(documents_.calls, 0);
}

TEST_F(ClientTest, DoesNotTrustTheServersCounts) {
  documents_.answers_nothing = true;
  const auto result = Connect()->Upsert("docs", Document{.id = "1"});
  EXPECT_EQ(result.status(), absl::InternalError("the server answered 0 results, expected 1"));
}

TEST_F(ClientTest, RefusesAKvAnswerThatIsNoLayer) {
  const auto client = Connect();
  const auto cut = client->kv().Get(KvKey{.profile_id = "p", .tokens = {1}});
  EXPECT_EQ(cut.status(), absl::InternalError("the server's answer ended within a layer"));
  const auto misplaced = client->kv().Get(KvKey{.profile_id = "p", .tokens = {1}}, 1);
  EXPECT_EQ(misplaced.status().code(), absl::StatusCode::kInternal) << misplaced.status();
  EXPECT_NE(misplaced.status().message().find("expected offset 1"), absl::string_view::npos);
}

TEST(ClientOptions, ChecksThemselves) {
  EXPECT_TRUE(ClientOptions().Validate().ok());
  const ClientOptions bad[] = {
      {.address = ""},
      {.deadline = absl::ZeroDuration()},
      {.deadline = absl::InfiniteDuration()},
      {.maintenance_deadline = -absl::Seconds(1)},
      {.max_message_bytes = 1000},
      {.max_message_bytes = int64_t{1} << 31},
  };
  for (const ClientOptions& options : bad) {
    EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(Client::Connect(options).ok());
  }
}

// Stubs that a test brings take the place of a connection.
TEST_F(ClientTest, TakesStubsFromOutside) {
  const auto channel = server_->InProcessChannel(grpc::ChannelArguments());
  Client client(std::make_unique<ClientImpl>(Stubs{.collections = nullptr,
                                                   .documents = v1::Documents::NewStub(channel),
                                                   .search = nullptr,
                                                   .kv = nullptr,
                                                   .admin = nullptr},
                                             ClientOptions()));
  EXPECT_EQ(*client.Count("docs"), 7u);
}

}  // namespace
}  // namespace larder
