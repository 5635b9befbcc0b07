// The client's inside: stubs, and how a call is made. Private; tests inject stubs through it.
#ifndef LARDER_CLIENT_CLIENT_IMPL_H_
#define LARDER_CLIENT_CLIENT_IMPL_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "larder/client.h"
#include "larder/v1/admin.grpc.pb.h"
#include "larder/v1/kv.grpc.pb.h"
#include "larder/v1/kv_tiers.grpc.pb.h"
#include "larder/v1/larder.grpc.pb.h"
#include "proto/status.h"
#include "proto/utf8.h"

namespace larder {

struct Stubs {
  std::unique_ptr<v1::Collections::StubInterface> collections;
  std::unique_ptr<v1::Documents::StubInterface> documents;
  std::unique_ptr<v1::Search::StubInterface> search;
  std::unique_ptr<v1::Kv::StubInterface> kv;
  std::unique_ptr<v1::Admin::StubInterface> admin;
  std::unique_ptr<v1::KvTiers::StubInterface> kv_tiers;
};

enum class CallKind { kRead, kWrite, kMaintenance };

inline constexpr int kReadAttempts = 2;
inline constexpr absl::Duration kRetryPause = absl::Milliseconds(200);

class ClientImpl {
 public:
  ClientImpl(Stubs stubs, ClientOptions options) : stubs(std::move(stubs)), options(std::move(options)) {}

  absl::Duration Deadline(CallKind kind) const {
    return kind == CallKind::kMaintenance ? options.maintenance_deadline : options.deadline;
  }

  // Only reads are tried again, and only while the server is unavailable. `attempt` makes the call
  // from the start, until the given time.
  template <typename Attempt>
  absl::Status Try(CallKind kind, Attempt attempt) const {
    const absl::Time until = absl::Now() + Deadline(kind);
    absl::Status status = attempt(until);
    const int attempts = kind == CallKind::kRead ? kReadAttempts : 1;
    for (int i = 1; i < attempts && absl::IsUnavailable(status) && absl::Now() + kRetryPause < until; ++i) {
      absl::SleepFor(kRetryPause);
      status = attempt(until);
    }
    return status;
  }

  template <typename Stub, typename Request, typename Reply>
  absl::Status Call(CallKind kind, Stub& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                    const Request& request, Reply* reply) const {
    if (absl::Status status = CheckUtf8(request); !status.ok()) return status;
    return Try(kind, [&](absl::Time until) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(until));
      reply->Clear();
      return FromGrpc((stub.*method)(&context, request, reply));
    });
  }

  const Stubs stubs;
  const ClientOptions options;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLIENT_IMPL_H_
