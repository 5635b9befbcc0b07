// Options, the channel and its stubs.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "client/client_impl.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr int64_t kLeastMessageBytes = int64_t{64} << 10;
constexpr int64_t kMostMessageBytes = int64_t{1} << 30;

absl::Status CheckDeadline(absl::string_view name, absl::Duration deadline) {
  if (deadline > absl::ZeroDuration() && deadline <= absl::Hours(24 * 365)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "ClientOptions.", name, " is ", absl::FormatDuration(deadline), ", expected above 0, up to a year"));
}

grpc::ChannelArguments ChannelArguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  // A server that restarts is found again soon; gRPC's own pause would start at a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Retries are this client's own: see ClientImpl::Try.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A proxy from the environment is not meant for a database next door.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  if (address.empty())
    return absl::InvalidArgumentError("ClientOptions.address is empty, expected host:port");
  RETURN_IF_ERROR(CheckDeadline("deadline", deadline));
  RETURN_IF_ERROR(CheckDeadline("maintenance_deadline", maintenance_deadline));
  if (max_message_bytes < kLeastMessageBytes || max_message_bytes > kMostMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("ClientOptions.max_message_bytes is ", max_message_bytes,
                                                   ", expected ", kLeastMessageBytes, " to ",
                                                   kMostMessageBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const ClientOptions& options) {
  RETURN_IF_ERROR(options.Validate());
  const auto channel = grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(),
                                                 ChannelArguments(options));
  Stubs stubs{.collections = v1::Collections::NewStub(channel),
              .documents = v1::Documents::NewStub(channel),
              .search = v1::Search::NewStub(channel),
              .kv = v1::Kv::NewStub(channel),
              .admin = v1::Admin::NewStub(channel),
              .kv_tiers = v1::KvTiers::NewStub(channel)};
  return std::make_unique<Client>(std::make_unique<ClientImpl>(std::move(stubs), options));
}

}  // namespace larder
