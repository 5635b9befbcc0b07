#include "larder/v1/admin.grpc.pb.h"
#include "proto/convert.h"
#include "rpc/call.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using grpc::ServerContext;

class AdminService final : public v1::Admin::Service {
 public:
  explicit AdminService(const ServiceContext& context) : context_(context) {}

  grpc::Status Stats(ServerContext* call, const v1::StatsRequest*, v1::StatsReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const DatabaseStats stats, context_.database->Stats());
      ToProto(stats, reply);
      return absl::OkStatus();
    });
  }

  grpc::Status Verify(ServerContext* call, const v1::VerifyRequest*, v1::VerifyReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const VerifyReport report, context_.database->Verify());
      ToProto(report, reply);
      return absl::OkStatus();
    });
  }

  grpc::Status Compact(ServerContext* call, const v1::CompactRequest*, v1::CompactReply*) override {
    return Serve(call, context_.admission, [&]() -> absl::Status { return context_.database->Compact(); });
  }

  grpc::Status Backup(ServerContext* call, const v1::BackupRequest* request,
                      v1::BackupReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const std::string path, context_.backup_root->Resolve(request->name()));
      ASSIGN_OR_RETURN(const BackupInfo info, context_.database->Backup(path));
      ToProto(info, reply->mutable_backup());
      return absl::OkStatus();
    });
  }

  grpc::Status ListBackups(ServerContext* call, const v1::ListBackupsRequest* request,
                           v1::ListBackupsReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const std::string path, context_.backup_root->Resolve(request->name()));
      ASSIGN_OR_RETURN(const std::vector<BackupInfo> backups, Database::ListBackups(path));
      for (const BackupInfo& info : backups) ToProto(info, reply->add_backups());
      return absl::OkStatus();
    });
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const ServiceContext& context) {
  return std::make_unique<AdminService>(context);
}

}  // namespace larder
