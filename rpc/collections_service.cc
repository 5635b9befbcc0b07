#include "larder/v1/larder.grpc.pb.h"
#include "proto/convert.h"
#include "rpc/call.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using grpc::ServerContext;

absl::Status Describe(const Collection& collection, v1::DescribeCollectionReply* reply) {
  RETURN_IF_ERROR(ToProto(collection.Info(), reply->mutable_info()));
  return ToProto(collection.options(), reply->mutable_options());
}

class CollectionsService final : public v1::Collections::Service {
 public:
  explicit CollectionsService(const ServiceContext& context) : context_(context) {}

  grpc::Status Create(ServerContext* call, const v1::CreateCollectionRequest* request,
                      v1::DescribeCollectionReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const CollectionOptions options, FromProto(request->options()));
      RETURN_IF_ERROR(CheckEmbedder(options));
      ASSIGN_OR_RETURN(const Collection collection,
                       context_.database->CreateCollection(request->name(), options));
      return larder::Describe(collection, reply);
    });
  }

  grpc::Status Describe(ServerContext* call, const v1::DescribeCollectionRequest* request,
                        v1::DescribeCollectionReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->name()));
      return larder::Describe(collection, reply);
    });
  }

  grpc::Status List(ServerContext* call, const v1::ListCollectionsRequest*,
                    v1::ListCollectionsReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      for (std::string& name : context_.database->ListCollections()) reply->add_names(std::move(name));
      return absl::OkStatus();
    });
  }

  grpc::Status Drop(ServerContext* call, const v1::DropCollectionRequest* request,
                    v1::DropCollectionReply*) override {
    return Serve(call, context_.admission,
                 [&]() -> absl::Status { return context_.database->DropCollection(request->name()); });
  }

 private:
  // A client that names the endpoint makes the server send requests, documents and the value of an
  // environment variable where the client likes.
  absl::Status CheckEmbedder(const CollectionOptions& options) const {
    if (options.embedder != EmbedderKind::kHttp || context_.allow_http_embedder) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "this server does not let clients name an embedding endpoint: start it with --allow-http-embedder, "
        "or "
        "create the collection through the library");
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCollectionsService(const ServiceContext& context) {
  return std::make_unique<CollectionsService>(context);
}

}  // namespace larder
