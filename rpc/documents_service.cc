#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/v1/larder.grpc.pb.h"
#include "proto/convert.h"
#include "rpc/call.h"
#include "rpc/filter_decode.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using grpc::ServerContext;

// Absent means durable.
template <typename Request>
WriteOptions WriteOptionsOf(const Request& request) {
  return WriteOptions{.sync = !request.has_sync() || request.sync()};
}

// A document that cannot be decoded is one bad document of the batch: it gets its own result, and
// the others are stored.
struct DecodedBatch {
  std::vector<Document> documents;
  std::vector<int> places;            // of each document in the request
  std::vector<UpsertResult> results;  // one a document of the request; errors are filled in
};

DecodedBatch Decode(const v1::UpsertRequest& request) {
  DecodedBatch batch;
  batch.documents.reserve(request.documents_size());
  batch.results.resize(request.documents_size());
  for (int i = 0; i < request.documents_size(); ++i) {
    absl::StatusOr<Document> document = FromProto(request.documents(i));
    if (document.ok()) {
      batch.documents.push_back(*std::move(document));
      batch.places.push_back(i);
    } else {
      batch.results[i] = UpsertResult{.id = request.documents(i).id(),
                                      .error_code = document.status().raw_code(),
                                      .error = std::string(document.status().message())};
    }
  }
  return batch;
}

class DocumentsService final : public v1::Documents::Service {
 public:
  explicit DocumentsService(const ServiceContext& context) : context_(context) {}

  grpc::Status Upsert(ServerContext* call, const v1::UpsertRequest* request,
                      v1::UpsertReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      RETURN_IF_ERROR(CheckBatch("documents", request->documents_size()));
      ASSIGN_OR_RETURN(Collection collection, context_.database->GetCollection(request->collection()));
      DecodedBatch batch = Decode(*request);
      ASSIGN_OR_RETURN(std::vector<UpsertResult> stored,
                       collection.Upsert(absl::MakeConstSpan(batch.documents), WriteOptionsOf(*request)));
      if (stored.size() != batch.documents.size()) {
        return absl::InternalError(absl::StrCat("the engine answered ", stored.size(), " results for ",
                                                batch.documents.size(), " documents"));
      }
      for (size_t i = 0; i < stored.size(); ++i) batch.results[batch.places[i]] = std::move(stored[i]);
      for (const UpsertResult& result : batch.results) ToProto(result, reply->add_results());
      return absl::OkStatus();
    });
  }

  grpc::Status Get(ServerContext* call, const v1::GetDocumentRequest* request,
                   v1::GetDocumentReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->collection()));
      ASSIGN_OR_RETURN(const Document document,
                       collection.Get(request->id(), request->tenant(), request->include_chunks()));
      return ToProto(document, reply->mutable_document());
    });
  }

  grpc::Status Chunks(ServerContext* call, const v1::ChunksRequest* request,
                      v1::ChunksReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->collection()));
      ASSIGN_OR_RETURN(const std::vector<Chunk> chunks, collection.Chunks(request->id(), request->tenant()));
      for (const Chunk& chunk : chunks) RETURN_IF_ERROR(ToProto(chunk, reply->add_chunks()));
      return absl::OkStatus();
    });
  }

  grpc::Status Delete(ServerContext* call, const v1::DeleteDocumentRequest* request,
                      v1::DeleteDocumentReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(Collection collection, context_.database->GetCollection(request->collection()));
      ASSIGN_OR_RETURN(const bool existed,
                       collection.Delete(request->id(), request->tenant(), WriteOptionsOf(*request)));
      reply->set_existed(existed);
      return absl::OkStatus();
    });
  }

  grpc::Status DeleteWhere(ServerContext* call, const v1::DeleteWhereRequest* request,
                           v1::DeleteWhereReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(Collection collection, context_.database->GetCollection(request->collection()));
      ASSIGN_OR_RETURN(const std::string filter, FilterOf(*request));
      ASSIGN_OR_RETURN(const uint64_t documents,
                       collection.DeleteWhere(filter, request->tenant(), WriteOptionsOf(*request)));
      reply->set_documents(documents);
      return absl::OkStatus();
    });
  }

  grpc::Status Scroll(ServerContext* call, const v1::ScrollRequest* request,
                      v1::ScrollReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->collection()));
      ScrollRequest scroll = FromProto(*request);
      ASSIGN_OR_RETURN(scroll.filter, FilterOf(*request));
      ASSIGN_OR_RETURN(const ScrollReply page, collection.Scroll(scroll));
      return ToProto(page, reply);
    });
  }

  grpc::Status Count(ServerContext* call, const v1::CountRequest* request, v1::CountReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Collection collection, context_.database->GetCollection(request->collection()));
      ASSIGN_OR_RETURN(const std::string filter, FilterOf(*request));
      ASSIGN_OR_RETURN(const uint64_t documents, collection.Count(filter, request->tenant()));
      reply->set_documents(documents);
      return absl::OkStatus();
    });
  }

 private:
  const ServiceContext context_;
};

}  // namespace

absl::Status CheckBatch(const char* what, int count) {
  if (count <= kMaxBatch) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(count, " ", what, " in one request, at most ", kMaxBatch, " are taken"));
}

std::unique_ptr<grpc::Service> MakeDocumentsService(const ServiceContext& context) {
  return std::make_unique<DocumentsService>(context);
}

}  // namespace larder
