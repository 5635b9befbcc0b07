// The services of larder.v1: each decodes, calls the engine, encodes. Private to rpc/.
#ifndef LARDER_RPC_SERVICES_H_
#define LARDER_RPC_SERVICES_H_

#include <cstdint>
#include <memory>

#include "larder/database.h"
#include "rpc/admission.h"
#include "rpc/backup_root.h"

namespace grpc {
class Service;
}

namespace larder {

// Documents of one Upsert, keys of one Lookup, chunks of one Plan.
inline constexpr int kMaxBatch = 10'000;

absl::Status CheckBatch(const char* what, int count);

// What the services work on; all of it outlives them.
struct ServiceContext {
  Database* database = nullptr;
  Admission* admission = nullptr;
  const BackupRoot* backup_root = nullptr;
  bool allow_http_embedder = false;
  uint64_t max_layer_bytes = 0;
};

// Thread-safe, as gRPC wants them.
std::unique_ptr<grpc::Service> MakeCollectionsService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeDocumentsService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeSearchService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeKvService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeKvTiersService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeAdminService(const ServiceContext& context);

}  // namespace larder

#endif  // LARDER_RPC_SERVICES_H_
