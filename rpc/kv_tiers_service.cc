#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "larder/v1/kv_tiers.grpc.pb.h"
#include "proto/convert.h"
#include "rpc/call.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using grpc::ServerContext;

constexpr uint64_t kMostTtlMs = uint64_t{1} << 50;  // 35,000 years

class KvTiersService final : public v1::KvTiers::Service {
 public:
  explicit KvTiersService(const ServiceContext& context) : context_(context) {}

  grpc::Status Pin(ServerContext* call, const v1::KvPinRequest* request, v1::KvPinReply*) override {
    return Serve(call, context_.admission,
                 [&]() -> absl::Status { return kv().Pin(FromProto(request->key()), !request->unpin()); });
  }

  grpc::Status SetTtl(ServerContext* call, const v1::KvSetTtlRequest* request, v1::KvSetTtlReply*) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      if (request->has_ttl_ms() && request->ttl_ms() > kMostTtlMs) {
        return absl::InvalidArgumentError(
            absl::StrCat("SetTtl: ttl_ms is ", request->ttl_ms(), ", expected at most ", kMostTtlMs));
      }
      const absl::Duration ttl =
          request->has_ttl_ms() ? absl::Milliseconds(request->ttl_ms()) : absl::InfiniteDuration();
      return kv().SetTtl(FromProto(request->key()), ttl);
    });
  }

  grpc::Status SetQuota(ServerContext* call, const v1::KvSetQuotaRequest* request,
                        v1::KvSetQuotaReply*) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      std::optional<uint64_t> bytes;
      if (request->has_bytes()) bytes = request->bytes();
      return kv().SetQuota(request->tenant(), bytes);
    });
  }

  grpc::Status Stats(ServerContext* call, const v1::KvStatsRequest*, v1::KvStatsReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvStats stats, kv().Stats());
      ToProto(stats, reply);
      return absl::OkStatus();
    });
  }

 private:
  KvCache& kv() { return context_.database->kv(); }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeKvTiersService(const ServiceContext& context) {
  return std::make_unique<KvTiersService>(context);
}

}  // namespace larder
