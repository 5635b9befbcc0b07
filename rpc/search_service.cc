#include "larder/v1/larder.grpc.pb.h"
#include "proto/convert.h"
#include "rpc/call.h"
#include "rpc/filter_decode.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

class SearchService final : public v1::Search::Service {
 public:
  explicit SearchService(const ServiceContext& context) : context_(context) {}

  grpc::Status Search(grpc::ServerContext* call, const v1::SearchRequest* request,
                      v1::SearchReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->collection()));
      SearchRequest search = FromProto(*request);
      ASSIGN_OR_RETURN(search.filter, FilterOf(*request));
      ASSIGN_OR_RETURN(const SearchReply found, collection.Search(search));
      return ToProto(found, reply);
    });
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSearchService(const ServiceContext& context) {
  return std::make_unique<SearchService>(context);
}

}  // namespace larder
