#include "rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/strings/str_cat.h"
#include "rpc/admission.h"
#include "rpc/backup_root.h"
#include "rpc/listen_address.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// Threads of the synchronous server: one a call that runs, and some that wait for the next and say no.
constexpr int kSpareThreads = 32;
// Threads that wait for calls. With gRPC's own 1 to 2 a call often found no other waiting, and a thread
// was made before its work and ended after it: 0.1 to 0.2 ms of a call's overhead on a busy machine.
constexpr int kLeastWaiting = 4, kMostWaiting = 16;

absl::Status CheckRange(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("ServerOptions.", name, " is ", value, ", expected ", least, " to ", most));
}

void SetLimits(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);  // a reply's size is the request's and the client's to bound
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(options.max_metadata_bytes));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(options.max_streams_per_connection));
  // Two servers on one port would share its clients at random.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A peer that is gone without a word is noticed; one that pings us without need is sent away.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 3);
  grpc::ResourceQuota quota("larder");
  quota.Resize(static_cast<size_t>(options.max_buffer_bytes));
  quota.SetMaxThreads(static_cast<int>(options.max_concurrent_calls) + kSpareThreads);
  builder->SetResourceQuota(quota);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, kLeastWaiting);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kMostWaiting);
}

void EnablePlugins() {
  static absl::once_flag once;
  absl::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

class GrpcServer final : public Server {
 public:
  GrpcServer(BackupRoot backup_root, const ServerOptions& options)
      : backup_root_(std::move(backup_root)),
        admission_(static_cast<uint64_t>(options.max_concurrent_calls),
                   static_cast<uint64_t>(options.max_buffer_bytes)) {}
  ~GrpcServer() override { Stop(absl::Seconds(10)); }

  absl::Status Listen(Database* database, const ServerOptions& options, const ListenAddress& listen) {
    const ServiceContext context{.database = database,
                                 .admission = &admission_,
                                 .backup_root = &backup_root_,
                                 .allow_http_embedder = options.allow_http_embedder,
                                 .max_layer_bytes = static_cast<uint64_t>(options.max_layer_bytes)};
    services_.push_back(MakeCollectionsService(context));
    services_.push_back(MakeDocumentsService(context));
    services_.push_back(MakeSearchService(context));
    services_.push_back(MakeKvService(context));
    services_.push_back(MakeKvTiersService(context));
    services_.push_back(MakeAdminService(context));

    EnablePlugins();
    grpc::ServerBuilder builder;
    SetLimits(options, &builder);
    int port = 0;
    builder.AddListeningPort(absl::StrCat(listen.host, ":", listen.port), grpc::InsecureServerCredentials(),
                             &port);
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", listen.host, ":", listen.port, ": is it taken?"));
    }
    address_ = absl::StrCat(listen.host, ":", port);
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

  void Stop(absl::Duration drain) override {
    absl::call_once(stopped_, [this, drain] {
      if (server_ == nullptr) return;
      if (auto* health = server_->GetHealthCheckService(); health != nullptr) health->SetServingStatus(false);
      server_->Shutdown(absl::ToChronoTime(absl::Now() + drain));
    });
  }

 private:
  const BackupRoot backup_root_;
  Admission admission_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;  // after what it uses
  std::string address_;
  absl::once_flag stopped_;
};

}  // namespace

absl::Status ServerOptions::Validate() const {
  RETURN_IF_ERROR(ParseListenAddress(listen).status());
  RETURN_IF_ERROR(CheckRange("max_message_bytes", max_message_bytes, int64_t{64} << 10, int64_t{1} << 30));
  RETURN_IF_ERROR(CheckRange("max_metadata_bytes", max_metadata_bytes, int64_t{1} << 10, int64_t{64} << 10));
  RETURN_IF_ERROR(CheckRange("max_concurrent_calls", max_concurrent_calls, 1, 4096));
  RETURN_IF_ERROR(CheckRange("max_streams_per_connection", max_streams_per_connection, 1, 65536));
  RETURN_IF_ERROR(CheckRange("max_buffer_bytes", max_buffer_bytes, max_message_bytes, int64_t{1} << 40));
  return CheckRange("max_layer_bytes", max_layer_bytes, 1, max_buffer_bytes);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Database* database, const ServerOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(const ListenAddress listen, ParseListenAddress(options.listen));
  ASSIGN_OR_RETURN(BackupRoot backup_root, BackupRoot::Open(options.backup_root));
  auto server = std::make_unique<GrpcServer>(std::move(backup_root), options);
  RETURN_IF_ERROR(server->Listen(database, options, listen));
  return server;
}

}  // namespace larder
