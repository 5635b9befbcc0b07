// What the server refuses, and how it starts and stops.
#include "rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "larder/v1/kv.grpc.pb.h"
#include "larder/v1/larder.grpc.pb.h"
#include "proto/status.h"
#include "rpc/call.h"
#include "tests/support/served_database.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

class ServerTest : public testing::ServedDatabase {
 protected:
  void ServeDocs() {
    Serve();
    ASSERT_TRUE(client_->CreateCollection("docs", PlainOptions()).ok());
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  absl::Status CountWith(grpc::ClientContext* context) {
    v1::CountRequest request;
    request.set_collection("docs");
    v1::CountReply reply;
    return FromGrpc(v1::Documents::NewStub(channel_)->Count(context, request, &reply));
  }

  // One message to a method that this test has no generated code for, and its first answer.
  std::string CallRaw(const std::string& method, const std::string& message) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    const auto stream = stub.PrepareCall(&context, method, &queue);
    void* tag = nullptr;
    bool ok = false;
    const auto wait = [&] { return queue.Next(&tag, &ok) && ok; };
    stream->StartCall(nullptr);
    EXPECT_TRUE(wait());
    const grpc::Slice slice(message);
    const grpc::ByteBuffer request(&slice, 1);
    stream->Write(request, nullptr);
    EXPECT_TRUE(wait());
    grpc::ByteBuffer reply;
    stream->Read(&reply, nullptr);
    EXPECT_TRUE(wait());
    grpc::Slice joined;
    EXPECT_TRUE(reply.DumpToSingleSlice(&joined).ok());
    context.TryCancel();
    grpc::Status status;
    stream->Finish(&status, nullptr);
    wait();
    return std::string(joined.begin(), joined.end());
  }

  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServerTest, ListensOnLoopbackOnly) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "10.0.0.1:0"}) {
    server_options_.listen = address;
    EXPECT_EQ(Server::Start(database_.get(), server_options_).status().code(),
              absl::StatusCode::kFailedPrecondition)
        << address;
  }
}

TEST_F(ServerTest, RefusesAnAddressThatIsTaken) {
  Serve();
  server_options_.listen = server_->address();
  const auto second = Server::Start(database_.get(), server_options_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address()));
}

TEST_F(ServerTest, OptionsCheckThemselves) {
  EXPECT_TRUE(ServerOptions().Validate().ok());
  std::vector<ServerOptions> bad(6);
  bad[0].max_message_bytes = 1;
  bad[1].max_metadata_bytes = 1 << 20;
  bad[2].max_concurrent_calls = 0;
  bad[3].max_streams_per_connection = -1;
  bad[4].max_buffer_bytes = 1;
  bad[5].max_layer_bytes = bad[5].max_buffer_bytes + 1;
  for (const ServerOptions& options : bad) {
    EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
  }
  server_options_.backup_root = directory_ / "absent";
  EXPECT_EQ(Server::Start(database_.get(), server_options_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ServerTest, RefusesMessagesBeyondItsLimit) {
  server_options_.max_message_bytes = 1 << 20;
  ServeDocs();
  Document big = NumberedDocument(1);
  big.text = std::string(2 << 20, 'x');
  const absl::Status refused = client_->Upsert("docs", big).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_EQ(*client_->Count("docs"), 0u);  // the connection still serves
}

TEST_F(ServerTest, RefusesMetadataBeyondItsLimit) {
  ServeDocs();
  grpc::ClientContext fits;
  fits.AddMetadata("note", std::string(6'000, 'x'));
  EXPECT_TRUE(CountWith(&fits).ok());
  grpc::ClientContext large;
  large.AddMetadata("note", std::string(10'000, 'x'));
  EXPECT_EQ(CountWith(&large).code(), absl::StatusCode::kResourceExhausted);
  grpc::ClientContext flood;  // gRPC may close the connection on it
  flood.AddMetadata("note", std::string(1'000'000, 'x'));
  EXPECT_FALSE(CountWith(&flood).ok());
  EXPECT_TRUE(client_->Count("docs").ok());
}

TEST_F(ServerTest, RefusesCallsBeyondItsLimitAtOnce) {
  server_options_.max_concurrent_calls = 2;
  ServeDocs();
  const auto stub = v1::Kv::NewStub(channel_);
  // Two calls that wait for the rest of a layer.
  grpc::ClientContext contexts[2];
  v1::PutLayerReply replies[2];
  std::vector<std::unique_ptr<grpc::ClientWriter<v1::PutLayerRequest>>> held;
  for (int i = 0; i < 2; ++i) held.push_back(stub->PutLayer(&contexts[i], &replies[i]));
  const absl::Time start = absl::Now();
  absl::Status refused;
  while ((refused = client_->Count("docs").status()).ok() && absl::Now() < start + absl::Seconds(5)) {
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("2 of 2 concurrent calls"));
  for (auto& writer : held) {
    writer->WritesDone();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_TRUE(client_->Count("docs").ok());
}

// Reaches Serve only when its caller is gone.
class LateDocuments final : public v1::Documents::Service {
 public:
  grpc::Status Count(grpc::ServerContext* context, const v1::CountRequest*, v1::CountReply*) override {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(2));
    const grpc::Status status = Serve(context, &admission, [&] {
      executed = true;
      return absl::OkStatus();
    });
    code = status.error_code();
    served = true;
    return status;
  }

  Admission admission{1, 1};
  std::atomic<bool> executed{false}, served{false};
  std::atomic<grpc::StatusCode> code{grpc::StatusCode::OK};
};

TEST(Serve, DoesNotExecuteWhatNobodyWaitsFor) {
  using enum grpc::StatusCode;
  for (const bool cancels : {false, true}) {
    LateDocuments service;
    grpc::ServerBuilder builder;
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    const auto stub = v1::Documents::NewStub(server->InProcessChannel(grpc::ChannelArguments()));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(cancels ? 20'000 : 50)));
    std::thread canceller([&] {
      absl::SleepFor(absl::Milliseconds(50));
      if (cancels) context.TryCancel();
    });
    v1::CountReply reply;
    EXPECT_EQ(stub->Count(&context, v1::CountRequest(), &reply).error_code(),
              cancels ? CANCELLED : DEADLINE_EXCEEDED);
    canceller.join();
    server->Shutdown();
    EXPECT_TRUE(service.served);
    EXPECT_FALSE(service.executed);
    EXPECT_EQ(service.code, cancels ? CANCELLED : DEADLINE_EXCEEDED);
    EXPECT_EQ(service.admission.calls.used(), 0u);
  }
}

// What the libraries below throw ends as a status.
TEST(Serve, LetsNoExceptionThrough) {
  Admission admission(1, 1);
  grpc::ServerContext context;
  const auto out_of_memory = [&]() -> absl::Status { throw std::bad_alloc(); };
  EXPECT_EQ(Serve(&context, &admission, out_of_memory).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto surprise = [&]() -> absl::Status { throw std::runtime_error("surprise"); };
  const grpc::Status status = Serve(&context, &admission, surprise);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("surprise"));
  EXPECT_EQ(admission.calls.used(), 0u);
}

// The batch takes longer to arrive than its caller waits.
TEST_F(ServerTest, StoresNothingOfABatchThatCameTooLate) {
  ServeDocs();
  client_options_.deadline = absl::Milliseconds(2);
  const auto hasty = Client::Connect(client_options_);
  ASSERT_TRUE(hasty.ok());
  Document large = NumberedDocument(1);
  large.text = std::string(15 << 20, 'x');
  const std::vector<Document> batch(3, large);
  EXPECT_EQ((*hasty)->Upsert("docs", batch).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(*client_->Count("docs"), 0u);
}

TEST_F(ServerTest, CancelsALayerThatDoesNotCome) {
  ServeDocs();
  KvKey key{.tenant = "", .profile_id = "", .tokens = {1, 2}};
  key.profile_id =
      *client_->kv().RegisterProfile(KvProfile{.model = "m", .layers = 1, .kv_heads = 1, .head_dim = 2});
  const auto handle = client_->kv().PutBegin(KvPutRequest{.key = key, .owners = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  v1::PutLayerReply reply;
  const auto writer = v1::Kv::NewStub(channel_)->PutLayer(&context, &reply);
  v1::PutLayerRequest request;
  request.set_handle(*handle);
  request.mutable_part()->set_tensor(v1::KvPart::TENSOR_K);
  request.mutable_part()->set_total_bytes(8);
  request.mutable_part()->set_data("12345678");
  EXPECT_TRUE(writer->Write(request));
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Nothing of it was put: the layer may still come.
  EXPECT_TRUE(client_->kv().PutLayer(*handle, 0, "12345678", "12345678").ok());
  EXPECT_TRUE(client_->kv().PutCommit(*handle).ok());
}

TEST_F(ServerTest, TakesFiltersAsTrees) {
  ServeDocs();
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(client_->Upsert("docs", NumberedDocument(i)).ok());
  v1::CountRequest request;
  request.set_collection("docs");
  v1::Comparison* comparison = request.mutable_filter_tree()->mutable_not_of()->mutable_comparison();
  comparison->set_field("n");
  comparison->set_op(v1::Comparison::OPERATOR_LESS);
  comparison->mutable_value()->set_int_value(2);
  v1::CountReply reply;
  grpc::ClientContext context;
  const auto stub = v1::Documents::NewStub(channel_);
  ASSERT_TRUE(stub->Count(&context, request, &reply).ok());
  EXPECT_EQ(reply.documents(), 4u);

  comparison->clear_op();
  grpc::ClientContext again;
  EXPECT_EQ(stub->Count(&again, request, &reply).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, AnswersHealthAndReflection) {
  ServeDocs();
  EXPECT_EQ(CallRaw("/grpc.health.v1.Health/Check", ""), "\x08\x01");  // SERVING
  const std::string services =
      CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", std::string("\x3a\x00", 2));
  for (const char* name : {"Collections", "Documents", "Search", "Kv", "Admin"}) {
    EXPECT_THAT(services, HasSubstr(absl::StrCat("larder.v1.", name)));
  }
}

TEST_F(ServerTest, StopsOnceAndAnswersNoMore) {
  ServeDocs();
  ASSERT_TRUE(client_->Upsert("docs", NumberedDocument(1)).ok());
  std::thread other([&] { server_->Stop(absl::Seconds(5)); });
  server_->Stop(absl::Seconds(5));
  other.join();
  EXPECT_EQ(client_->Count("docs").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(*database_->GetCollection("docs")->Count(), 1u);  // the database is its owner's to close
}

TEST_F(ServerTest, StopWaitsForCallsOnlySoLong) {
  ServeDocs();
  grpc::ClientContext context;
  v1::PutLayerReply reply;
  const auto writer = v1::Kv::NewStub(channel_)->PutLayer(&context, &reply);
  v1::PutLayerRequest request;
  request.mutable_part()->set_tensor(v1::KvPart::TENSOR_K);
  request.mutable_part()->set_total_bytes(8);
  request.mutable_part()->set_data("1");
  ASSERT_TRUE(writer->Write(request));
  ASSERT_TRUE(client_->Count("docs").ok());
  const absl::Time start = absl::Now();
  server_->Stop(absl::Milliseconds(300));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_FALSE(writer->Finish().ok());
}

}  // namespace
}  // namespace larder
